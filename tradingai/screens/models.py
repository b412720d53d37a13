"""9 Models: what is live, since when, and what was before?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from tradingai.engine.queries.model_snapshot import EvaluationView, LedgerEntry
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens import gate_parts, steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.commands import VerifyModels
from tradingai.screens.dialog import Dialog, Field
from tradingai.screens.ensemble_parts import agent_lines, made_lines
from tradingai.screens.overview_parts import context
from tradingai.screens.view import (
    Extent,
    Page,
    Selection,
    Slot,
    View,
    empty_state,
    filtered,
    headline,
    opening,
    paragraph,
)
from tradingai.widgets import numbers
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Column, Row, Table, pair, rule, stack

HEADS: Final = (
    "entry",
    "version",
    "model",
    "event",
    "at",
    "accuracy",
    "gates_passed",
    "artifact_sha256",
    "attempt",
    "who",
    "why",
)
TIME_FORM: Final = "%Y-%m-%d %H:%M"


def event_cell(entry: LedgerEntry) -> Span:
    """What happened to the version: the live one and the refused ones are marked."""
    if entry.live:
        return Span("● live", "blue")
    if entry.event == "refused":
        return Span("✗ refused", "orange")
    if entry.event == "rolled back":
        return Span("roll back", "text")
    return Span(entry.event, "text" if entry.event == "evaluated" else "muted")


def entry_row(entry: LedgerEntry, now: datetime, extent: Extent) -> Row:
    """One entry of the ledger."""
    gates = numbers.NOTHING
    if entry.gates_passed is not None:
        gates = f"{entry.gates_passed}/{entry.gates_total}"
    cells = [
        Span(entry.version),
        Span(entry.model),
        event_cell(entry),
        Span(numbers.day_time(entry.at, now), "muted"),
        Span(numbers.percent(entry.accuracy)),
        Span(gates, "orange" if entry.passed is False else "text"),
        Span(numbers.hash8(entry.artifact_sha256), "muted"),
        Span(str(entry.attempt) if entry.attempt else numbers.NOTHING, "muted"),
    ]
    if not extent.narrow:
        cells.append(Span(entry.who, "muted"))
    if extent.wide:
        cells.append(Span(entry.why, "muted"))
    plain = (
        str(entry.index),
        entry.version,
        entry.model,
        entry.event,
        entry.at.isoformat(),
        "" if entry.accuracy is None else repr(entry.accuracy),
        "" if entry.gates_passed is None else f"{entry.gates_passed} of {entry.gates_total}",
        entry.artifact_sha256,
        str(entry.attempt or ""),
        entry.who,
        entry.why,
    )
    return Row(str(entry.index), tuple(cells), plain=plain, words="live" if entry.live else "")


def ledger_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """The ledger, newest first."""
    columns = [
        Column("version", 7),
        Column("model", 13),
        Column("event", 9),
        Column("when", 10 if extent.narrow else 12),
        Column("accuracy", 8, "right"),
        Column("gates", 5, "right"),
        Column("hash", 8, spare=1),
        Column("try", 3, "right", gap=1, spare=2),
    ]
    if not extent.narrow:
        columns.append(Column("by", 0 if not extent.wide else 18, gap=3, least=18, spare=3))
    if extent.wide:
        columns.append(Column("why", 0, least=8, spare=4))
    rows = filtered(
        [entry_row(item, snapshot.now, extent) for item in reversed(snapshot.ledger.entries)], wanted
    )
    return Table("ledger", "Ledger", "newest first", tuple(columns), rows, HEADS, signed=False)


def live_at(snapshot: ConsoleSnapshot, moment: datetime) -> dict[str, LedgerEntry]:
    """For each model the entry whose version was live at ``moment``."""
    found: dict[str, LedgerEntry] = {}
    for entry in snapshot.ledger.entries:
        if entry.at <= moment and entry.event in {"promoted", "rolled back"}:
            found[entry.model] = entry
    return found


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """What is live, and whether the ledger can be trusted."""
    ledger = snapshot.ledger
    if ledger.problem is not None:
        return headline("The ledger is refused: it is not what was written.", alarm=True)
    if not ledger.entries:
        return headline("The ledger is empty.")
    live = [entry for entry in ledger.entries if entry.live]
    chain = f"the chain of {numbers.plural(len(ledger.entries), 'entry', 'entries')} is intact."
    if not live:
        return headline(f"Nothing is live; {chain}")
    if len(live) == 1:
        since = numbers.day_time(live[0].at, snapshot.now)
        return headline(f"{live[0].model} {live[0].version} is live since {since}; {chain}")
    return headline(f"{len(live)} models are live; {chain}")


def entry_lines(snapshot: ConsoleSnapshot, entry: LedgerEntry, width: int, *, indent: int) -> list[Line]:
    """What the ledger holds of one entry."""
    item = snapshot.evaluation(entry.model)
    verdict = "" if entry.passed is None else "passed" if entry.passed else "refused"
    lines = [rule(f"{entry.model} {entry.version}", verdict, width)]
    label = 16

    def fact(name: str, value: str, ink: str = "text") -> None:
        rows = wrap(value, width - indent - label) or [numbers.NOTHING]
        for index, text in enumerate(rows[: 2 if indent else 5]):
            lines.append(
                line(pad(indent), *fit(Span(name if index == 0 else "", "muted"), label), Span(text, ink))
            )

    fact("artifact", numbers.hash_groups(entry.artifact_sha256, 3))
    if entry.coins:
        refused = any(failed for _, _, failed in entry.coins)
        fact(
            "accuracy", ", ".join(_coin_words(*coin) for coin in entry.coins), "orange" if refused else "text"
        )
    else:
        fact(
            "data, features",
            f"{numbers.hash_groups(entry.data_sha256)}, {numbers.hash_groups(entry.features_sha256)}",
        )
    if entry.components:
        fact("made of", component_words(entry.components))
    fact("by", f"{entry.who}{', ' + entry.why if entry.why else ''}")
    if entry.certificate:
        fact("certificate", numbers.hash_groups(entry.certificate, 3))
    if item is not None and item.version == entry.version:
        if item.promotable and not item.missing:
            fact("promote", "p makes it live; it asks for the model's name")
        elif item.live_version == entry.version:
            fact("live since", numbers.day_time(item.live_since, snapshot.now), "blue")
        else:
            fact("promote", steps.why_not(item), "muted")
    return lines


def _coin_words(symbol: str, accuracy: float | None, failed: tuple[str, ...]) -> str:
    """``BTC 74.5 %``, and the gates that refuse it."""
    words = f"{symbol.removesuffix('-USD')} {numbers.percent(accuracy)}"
    return f"{words} {' '.join(failed)}" if failed else words


def component_words(components: tuple[tuple[str, str], ...]) -> str:
    """``v1.0.0: lstm BNB, lstm BTC, transformer``: versions with the models they are of."""
    by_version: dict[str, list[str]] = {}
    for model, version in components:
        by_version.setdefault(version, []).append(model.replace("lstm_", "lstm ").removesuffix("-USD"))
    return "; ".join(f"{version}: {', '.join(models)}" for version, models in by_version.items())


class ModelsPage:
    """Makes the models screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.page = Page(extent, selection, ("ledger",))

    def view(self) -> View:
        """The ledger and the entry under the cursor."""
        extent, page, snapshot = self.extent, self.page, self.snapshot
        table = ledger_table(snapshot, extent, self.selection.filter)
        problem = snapshot.ledger.problem
        if problem is not None:
            page.add(*paragraph(f"{opening(problem.message)}.", extent.width, indent=2))
            page.add(*paragraph(problem.remedy, extent.width, indent=2, ink="muted"))
            page.gap()
        entry: LedgerEntry | None = None
        if not snapshot.ledger.entries:
            if problem is None:
                page.add(
                    BLANK,
                    *empty_state(
                        "What was evaluated, promoted and rolled back stands here, each entry holding the "
                        "hash of the one before. A model enters it when its evaluation ends.",
                        keys=(("5", "Gates, where v evaluates"),),
                        width=min(78, extent.width),
                    ),
                )
        else:
            entry = self._ledger(table)
        item = snapshot.evaluation(entry.model) if entry else None
        return View(
            headline=sentence(snapshot),
            context=line(Span(context(snapshot, extent), "muted")),
            slots=(Slot("main", 0, 0, extent.columns - extent.side, extent.height, tuple(page.lines)),),
            side=self._side(entry, item) if extent.wide else (),
            tables=tuple(page.tables),
            drawn=page.drawn,
            keys=self._keys(item),
        )

    def _ledger(self, table: Table) -> LedgerEntry | None:
        extent, page = self.extent, self.page
        row = page.cursor(table)
        entry = next(
            (item for item in self.snapshot.ledger.entries if row and str(item.index) == row.key), None
        )
        below: list[Line] = []
        if self.selection.option("at"):
            below = self._live_at()
        elif self.selection.option("certificate") and entry is not None:
            below = self._certificate(entry)
        elif entry is not None and not extent.wide:
            below = entry_lines(self.snapshot, entry, extent.width, indent=2)
        if not table.rows:
            page.add(rule("Ledger", f"filter {self.selection.filter}", extent.width))
            page.add(*paragraph("No entry matches. esc clears the filter.", extent.width))
            return None
        page.table(table, rows=max(3, page.room - 3 - len(below)))
        page.gap()
        page.add(*below)
        return entry

    def _live_at(self) -> list[Line]:
        text = self.selection.option("at")
        moment = datetime.strptime(text, TIME_FORM).replace(tzinfo=UTC)
        width = self.extent.width
        lines = [rule(f"Live at {text}Z", "esc closes", width)]
        found = live_at(self.snapshot, moment)
        for model, entry in found.items():
            since = f"since {entry.at:%Y-%m-%d %H:%MZ}"
            lines.append(
                pair(model, (Span(entry.version), Span(f"  {since}", "muted")), min(width, 60), indent=2)
            )
        if not found:
            lines.append(line(pad(2), "Nothing was live then."))
        return lines

    def _certificate(self, entry: LedgerEntry) -> list[Line]:
        width = self.extent.width
        item = self.snapshot.evaluation(entry.model)
        if item is None or item.report is None or item.version != entry.version:
            return [
                *entry_lines(self.snapshot, entry, width, indent=2),
                line(pad(2), Span("The full report of an older version is in its version folder.", "muted")),
            ]
        lines = gate_parts.certificate_lines(item, item.report.coins[0], min(width, 60))
        lines += made_lines(item, "", min(width, 60)) + agent_lines(item, min(width, 60))
        for gate in item.report.gates:
            mark = Span("✓ ", "blue") if gate.passed else Span("✗ ", "orange")
            lines.append(line(mark, *fit(Span(gate.id), 14), Span(gate.detail[: width - 18], "muted")))
        return lines

    def _side(self, entry: LedgerEntry | None, item: EvaluationView | None) -> list[Line]:
        width = self.extent.side_width
        if entry is None:
            return []
        groups = [entry_lines(self.snapshot, entry, width, indent=0)]
        if item is not None and item.report is not None and item.version == entry.version:
            coins = item.report.coins
            groups += [made_lines(item, "", width), agent_lines(item, width)]
            groups.append(gate_parts.certificate_lines(item, coins[0], width))
            groups += [gate_parts.score_lines(coin, width, named=len(coins) > 1) for coin in coins]
        ledger = self.snapshot.ledger
        verified = f"{ledger.verified_at:%Y-%m-%d %H:%MZ}" if ledger.verified_at else "not in this session"
        state = Span("✗ refused", "orange") if ledger.problem else Span("✓ intact", "blue")
        groups.append([rule("Chain", state, width), pair("artifacts verified", verified, width)])
        return stack(*groups)

    def _keys(self, item: EvaluationView | None) -> tuple[Key, ...]:
        keys: list[Key] = []
        if not self.snapshot.ledger.entries and self.snapshot.ledger.problem is None:
            return ()
        keys.append(Key("v", "verify", "compare every artifact and the chain with the ledger", "verify"))
        if item is not None and item.promotable:
            keys.append(
                Key("p", "promote", "make a version that passed live; asks for the model's name", "promote")
            )
        if item is not None and item.rollback_to is not None:
            keys.append(
                Key("b", "roll back", "make the version before live again; asks for the version", "rollback")
            )
        keys += [
            Key("w", "live at", "what was live at a time", "live_at"),
            Key("c", "certificate", "what the version was judged on", "certificate"),
            Key(
                "enter",
                "metrics",
                "as c: metrics, coin by coin, and what it is made of",
                "open",
                footer=False,
            ),
            Key("y", "copy", "copy the row with its hash", "copy"),
        ]
        return tuple(keys)


def _a_time(text: str) -> str:
    try:
        datetime.strptime(text, TIME_FORM).replace(tzinfo=UTC)
    except ValueError:
        return "A UTC time like 2025-11-12 03:12"
    return ""


class ModelsScreen(ConsoleScreen):
    """The ledger."""

    MODE = "models"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return ModelsPage(snapshot, selection, extent).view()

    def _item(self) -> EvaluationView | None:
        row = self.row()
        entries = self.host.snapshot.ledger.entries
        entry = next((item for item in entries if row and str(item.index) == row.key), None)
        return self.host.snapshot.evaluation(entry.model) if entry else None

    def do_verify(self) -> None:
        """Compare artifacts with the ledger."""
        self.host.order(VerifyModels(**self.host.engine.issue()))

    def do_promote(self) -> None:
        """Promote, once the name was typed."""
        item = self._item()
        if item is not None:
            steps.promote(self.host, item)

    def do_rollback(self) -> None:
        """Roll back, once the version was typed."""
        item = self._item()
        if item is not None:
            steps.roll_back(self.host, item)

    def do_live_at(self) -> None:
        """Ask for a time and show what was live then."""
        now = f"{self.host.snapshot.now:{TIME_FORM}}"
        fields = (Field("at", "UTC", now, check=_a_time),)
        dialog = Dialog("What was live at", (), verb="show", keep="leave it", fields=fields)
        self.host.ask(dialog, lambda values: self.select(self.selection.with_option("at", values["at"])))

    def do_certificate(self) -> None:
        """Show or hide what the version was judged on."""
        shown = self.selection.option("certificate")
        self.select(self.selection.with_option("certificate", "" if shown else "yes"))

    def do_open(self) -> None:
        """As the certificate's key."""
        self.do_certificate()

    def do_back(self) -> None:
        """Close what is open, else as everywhere."""
        for name in ("at", "certificate"):
            if self.selection.option(name):
                self.select(self.selection.with_option(name, ""))
                return
        super().do_back()
