"""7 Risk: how far from the floors? Until there is a paper account: what will stand here."""

from __future__ import annotations

from typing import Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.later import account_facts, controls, later_view
from tradingai.screens.view import Extent, Selection, View
from tradingai.widgets import numbers

WHAT: Final = (
    "The equity curve, the distance to the daily and the total floor in money, the countdown to the "
    "Prague reset, the guard's state and open positions will stand here in a later version."
)
COMMANDS: Final = (
    "Until then `tradingai run` opens the paper account with its first scan, and `tradingai ftmo status` "
    "shows the account and its rules."
)


def account_sentence(snapshot: ConsoleSnapshot) -> str:
    """Whether there is an account."""
    live = snapshot.live
    if live is None or live.equity is None:
        return "No paper account yet."
    return f"{live.guard.upper() or 'Paper account'}: equity $ {numbers.decimal(live.equity, 2)}."


class RiskScreen(ConsoleScreen):
    """The paper account and its floors."""

    MODE = "risk"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return later_view(
            snapshot,
            selection,
            extent,
            sentence=account_sentence(snapshot),
            texts=(WHAT, COMMANDS),
            facts=(*account_facts(snapshot, extent), controls(snapshot, extent)[0]),
        )
