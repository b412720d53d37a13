"""6 Monitor: what is it doing right now, and why? Until the scan loop is there: what will stand here."""

from __future__ import annotations

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import controls, later_view, live_models
from tradingai.screens.view import Extent, Selection, View


class MonitorScreen(ConsoleScreen):
    """Live signals and the decision funnel."""

    MODE = "monitor"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        live = any(item.live_version for item in snapshot.evaluations)
        keys = () if live else (("5", "Gates, where a model that passes is promoted"),)
        return later_view(
            snapshot,
            selection,
            extent,
            sentence="The scan loop is not part of this version; nothing is scanned.",
            texts=(
                "Live signals, the decision funnel with a reason for every decision, the countdown to the next scan, "
                "confidence per coin and latency will stand here.",
                "It will use the models that are live in the registry.",
            ),
            facts=(*live_models(snapshot, extent), *controls(snapshot, extent)),
            keys=keys,
        )
