"""6 Monitor: what is it doing right now, and why? Until the scan loop is there: what will stand here."""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import controls, later_view, live_models, loop_facts
from tradingai.screens.view import Extent, Selection, View

WHAT: Final = (
    "Live signals, the decision funnel with a reason for every decision, the countdown to the next scan, "
    "confidence per coin and latency will stand here in a later version."
)
COMMANDS: Final = (
    "Until then `tradingai run` scans without a console, `tradingai signals` lists what was emitted, and "
    "`tradingai threshold` sets the confidence a signal needs."
)


class MonitorScreen(ConsoleScreen):
    """Live signals and the decision funnel."""

    MODE = "monitor"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        attached = snapshot.header.engine == "attached"
        live = any(item.live_version for item in snapshot.evaluations)
        return later_view(
            snapshot,
            selection,
            extent,
            sentence="The scan loop runs in another process." if attached else "The scan loop is off here.",
            texts=(WHAT, COMMANDS),
            facts=(
                *loop_facts(snapshot, extent),
                *live_models(snapshot, extent),
                *controls(snapshot, extent),
            ),
            keys=() if live else (("5", "Gates, where a model that passes is promoted"),),
        )
