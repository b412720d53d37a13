"""8 Observation: can this run for real? What will stand here, and what of it exists."""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import later_view, live_models, loop_facts
from tradingai.screens.view import Extent, Selection, View

WHAT: Final = (
    "The 72 h clock with its heartbeat strip, the exit criteria, the daily snapshots, Telegram delivery "
    "and the GO or NO-GO will stand here in a later version."
)
NEEDS: Final = (
    "An observation needs 72 h of the scan loop without a break and a promoted model; the commands for it "
    "are not part of this version. `tradingai run` runs the scan loop."
)


class ObservationScreen(ConsoleScreen):
    """The 72 h clock and the exit criteria."""

    MODE = "observation"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return later_view(
            snapshot,
            selection,
            extent,
            sentence="No observation can be started yet.",
            texts=(WHAT, NEEDS),
            facts=(*loop_facts(snapshot, extent), *live_models(snapshot, extent)),
        )
