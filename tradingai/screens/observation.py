"""8 Observation: can this run for real? Until there is a scan loop: what will stand here."""

from __future__ import annotations

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import later_view, live_models
from tradingai.screens.view import Extent, Selection, View


class ObservationScreen(ConsoleScreen):
    """The 72 h clock and the exit criteria."""

    MODE = "observation"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return later_view(
            snapshot,
            selection,
            extent,
            sentence="No observation can run yet; it needs the scan loop.",
            texts=(
                "The 72 h clock with its heartbeat strip, the exit criteria, the daily snapshots, Telegram delivery "
                "and the GO or NO-GO will stand here.",
                "An observation needs 72 h without a break, a promoted model and the scan loop, which is not part of "
                "this version.",
            ),
            facts=live_models(snapshot, extent),
        )
