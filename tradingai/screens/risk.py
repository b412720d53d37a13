"""7 Risk: how far from the floors? Until there is a paper account: what will stand here."""

from __future__ import annotations

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import controls, later_view
from tradingai.screens.view import Extent, Selection, View


class RiskScreen(ConsoleScreen):
    """The paper account and its floors."""

    MODE = "risk"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return later_view(
            snapshot,
            selection,
            extent,
            sentence="No paper account yet; it comes with the scan loop.",
            texts=(
                "The equity curve, the distance to the daily and the total floor in money, the countdown to the "
                "Prague reset, the guard's state and open positions will stand here.",
                "The scan loop is not part of this version, so no command opens an account yet.",
            ),
            facts=controls(snapshot, extent)[:1],
        )
