"""2 Data: what candles are there, can they be trusted?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradingai.engine.queries.snapshot import ConsoleSnapshot, DatasetView, Interest, JobView
from tradingai.screens import candle_steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.candle_picture import candle_picture
from tradingai.screens.commands import VerifyCandles
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
)
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Column, Row, Table, pair, rule, stack
from tradingai.widgets.signs import sign

FINDINGS: Final[Mapping[str, str]] = {
    "out_of_order": "out of order",
    "duplicates": "duplicates",
    "gaps": "gaps",
    "filled": "filled",
    "ohlc_repaired": "bad OHLC",
    "non_finite": "non-finite",
    "outliers": "outliers",
    "stale_runs": "stale runs",
    "non_positive": "non-positive",
    "volume_repaired": "bad volume",
    "leading_dropped": "dropped at start",
    "conflicting_duplicates": "disagreeing",
}
"""Counters of the quality report that mean something was wrong, in the order they are shown."""
_ONE: Final[Mapping[str, str]] = {
    "duplicates": "duplicate",
    "gaps": "gap",
    "outliers": "outlier",
    "stale runs": "stale run",
}
"""What a single one of them is called, where that is another word."""
JOB_KINDS: Final = ("generate", "fetch", "import")


def findings(quality: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What the quality report found, by name, the zeros left out."""
    return [(label, int(quality[key])) for key, label in FINDINGS.items() if quality.get(key)]


def finding(label: str, number: int) -> str:
    """``1 outlier``, ``14 outliers``."""
    return f"{numbers.count(number)} {_ONE.get(label, label) if number == 1 else label}"


def quality_cell(data: DatasetView) -> Span:
    """``✓ clean`` or what was found most."""
    found = findings(data.quality)
    if not found:
        return Span("✓ clean", "blue")
    label, number = max(found, key=lambda item: item[1])
    return Span(f"! {finding(label, number)}", "orange")


def _dataset_row(data: DatasetView, extent: Extent) -> Row:
    fetched = data.exchange if extent.narrow else data.market_symbol
    source = data.market or fetched or data.provider
    cells: list[Span] = [Span(data.symbol), Span(source, "muted" if source == data.provider else "text")]
    if not extent.narrow:
        cells += [
            Span(data.provider, "muted"),
            Span(str(data.seed) if data.seed is not None else numbers.NOTHING, "muted"),
            Span(numbers.hash8(data.sha256), "muted"),
        ]
    cells += [
        Span(numbers.count(data.rows)),
        Span(numbers.date(data.start), "muted"),
        Span(numbers.date(data.end), "muted"),
        Span(numbers.size(data.size_bytes), "muted"),
        quality_cell(data),
    ]
    plain = (
        data.symbol,
        data.provider,
        data.market or "",
        str(data.rows),
        data.start.isoformat(),
        data.end.isoformat(),
        str(data.size_bytes or ""),
        data.sha256,
        "; ".join(f"{label} {number}" for label, number in findings(data.quality)),
    )
    return Row(data.symbol, tuple(cells), plain=plain)


def _working_row(job: JobView, columns: int, extent: Extent) -> Row:
    share = f"{numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING:>5}"
    rate = numbers.short(job.rate, f"{job.unit}/s") if job.rate else ""
    eta = f"ETA {numbers.stopwatch(job.eta_s)}"
    bar = 22 if extent.narrow else 30
    tail = (
        *progress(job.fraction, bar),
        Span(share),
        pad(3),
        *fit(Span(rate), 18, "right"),
        pad(3),
        Span(eta, "muted"),
    )
    plain = (job.target, job.kind, "", "", "", "", "", "", "being written")
    return Row(job.target, tuple(Span(job.target) for _ in range(columns)), sign("running"), plain, tail=tail)


def datasets_table(snapshot: ConsoleSnapshot, extent: Extent, wanted: str) -> Table:
    """One row a coin; a coin that is being written shows its progress instead."""
    columns = [Column("symbol", 8 if extent.narrow else 9), Column("market", 7 if extent.narrow else 8)]
    if not extent.narrow:
        columns += [Column("provider", 10, spare=4), Column("seed", 6, "right", spare=3)]
        columns.append(Column("values", 8, spare=1))
    columns += [
        Column("rows", 10, "right"),
        Column("from", 10),
        Column("to", 10),
        Column("size", 6, "right", gap=1 if extent.narrow else 3, spare=2),
        Column("quality", 0, gap=1 if extent.narrow else 3, least=13),
    ]
    working = {job.target: job for job in snapshot.running_jobs if job.kind in JOB_KINDS}
    rows = [
        _working_row(working[data.symbol], len(columns), extent)
        if data.symbol in working
        else _dataset_row(data, extent)
        for data in snapshot.datasets
    ]
    known = {data.symbol for data in snapshot.datasets}
    rows += [
        _working_row(job, len(columns), extent) for symbol, job in working.items() if symbol not in known
    ]
    providers = sorted({data.provider for data in snapshot.datasets})
    generators = sorted({data.generator for data in snapshot.datasets if data.generator})
    note = " and ".join(providers) + (
        f" v{generators[0]}" if len(generators) == 1 and providers == ["synthetic"] else ""
    )
    heads = ("symbol", "provider", "market", "rows", "from", "to", "bytes", "sha256", "quality")
    return Table("datasets", "Datasets", note, tuple(columns), filtered(rows, wanted), heads)


def where_and_why(job: JobView) -> tuple[str, str]:
    """What stopped, and the reason where that is a sentence of its own: a fetch names its coin and minute."""
    if job.kind == "fetch" and job.message.startswith(f"fetch of {job.target} "):
        where, _, why = job.message.partition(": ")
        return where, why
    return f"{job.title}: {job.message}", ""


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """What is there, and whether it can be trusted."""
    last = next((job for job in snapshot.jobs if job.kind in JOB_KINDS), None)
    running = [job for job in snapshot.running_jobs if job.kind in JOB_KINDS]
    if last is not None and last.state in {"failed", "interrupted"} and not running:
        where, _ = where_and_why(last)
        return headline(opening(where), alarm=True)
    total = sum(data.rows for data in snapshot.datasets)
    if running:
        job = running[0]
        left = f", {numbers.about(job.eta_s)} left" if job.eta_s is not None else ""
        return headline(f"Writing candles of {job.target}{left}; {numbers.count(total)} candles are there.")
    if not snapshot.datasets:
        return headline("No candles yet.")
    flawed = [(data.symbol, findings(data.quality)) for data in snapshot.datasets if findings(data.quality)]
    text = f"{numbers.plural(len(snapshot.datasets), 'coin')}, {numbers.count(total)} candles; "
    if not flawed:
        return headline(text + "nothing was dropped or changed.")
    symbol, found = flawed[0]
    label, number = max(found, key=lambda item: item[1])
    more = f", {numbers.plural(len(flawed) - 1, 'coin')} more with findings" if len(flawed) > 1 else ""
    return headline(f"{text}{finding(label, number)} in {symbol}{more}.")


def quality_lines(data: DatasetView, width: int) -> list[Line]:
    """The counters in four columns."""
    items = list(FINDINGS.items())[:8]
    cell = (width - 2) // 4
    lines = [rule(f"Quality of {data.symbol}", "nothing dropped, nothing changed uncounted", width)]
    for start in (0, 4):
        spans: list[Span] = [pad(2)]
        for key, label in items[start : start + 4]:
            number = int(data.quality.get(key) or 0)
            spans += [
                *fit(Span(label, "muted"), 12),
                *fit(Span(numbers.count(number), "orange" if number else "faint"), cell - 15, "right"),
                pad(3),
            ]
        lines.append(Line(tuple(spans)))
    return lines


def _source_lines(data: DatasetView, width: int) -> list[Line]:
    """What the candles were made from, or where they were fetched."""
    if data.exchange:
        return [pair("exchange", data.exchange, width), pair("market", data.market_symbol, width)]
    seed = numbers.NOTHING if data.seed is None else str(data.seed)
    return [
        pair("market, seed", f"{data.market or numbers.NOTHING}, {seed}", width),
        pair("generator", data.generator or numbers.NOTHING, width),
    ]


def side_lines(data: DatasetView | None, width: int) -> list[Line]:
    """The manifest and the whole quality report."""
    if data is None:
        return []
    manifest = [
        rule("Manifest", data.symbol, width),
        pair("provider", data.provider, width),
        *_source_lines(data, width),
        pair("rows", numbers.count(data.rows), width),
        pair("first", f"{data.start:%Y-%m-%d %H:%MZ}", width),
        pair("last", f"{data.end:%Y-%m-%d %H:%MZ}", width),
        pair("files, size", f"{data.files}, {numbers.size(data.size_bytes)}", width),
        pair("hash of values", numbers.hash_groups(data.sha256, 3), width),
        pair("written", f"{data.created_at:%Y-%m-%d %H:%MZ}" if data.created_at else numbers.NOTHING, width),
    ]
    if data.synthetic:
        manifest.append(pair("kind", Span("SYNTHETIC", "strong+b"), width))
    report = [rule("Quality", "counted by cleaning", width)]
    report.append(pair("rows in", numbers.count(data.quality.get("rows_in")), width))
    report.append(pair("rows out", numbers.count(data.quality.get("rows_out")), width))
    for key, label in FINDINGS.items():
        number = int(data.quality.get(key) or 0)
        report.append(pair(label, Span(numbers.count(number), "orange" if number else "faint"), width))
    longest = data.quality.get("longest_gap") or 0
    report.append(pair("longest gap", f"{numbers.count(longest)} min" if longest else numbers.NOTHING, width))
    share = data.quality.get("share_empty")
    report.append(
        pair("empty bars", numbers.percent(share, 2) if share is not None else numbers.NOTHING, width)
    )
    return stack(manifest, report)


class DataPage:
    """Makes the data screen's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.page = Page(extent, selection, ("datasets",))

    def view(self) -> View:
        """The page: table, chart, quality."""
        extent, snapshot = self.extent, self.snapshot
        table = datasets_table(snapshot, extent, self.selection.filter)
        slots: list[Slot] = []
        data: DatasetView | None = None
        width = extent.columns - extent.side
        if not table.rows and not snapshot.datasets:
            self._nothing()
        else:
            self._remedy()
            self.page.table(table, rows=max(3, min(len(table.rows), extent.height // 3)))
            row = self.page.cursor(table)
            data = next((item for item in snapshot.datasets if row and item.symbol == row.key), None)
            if data is not None:
                slots = self._below(data)
        slots.insert(0, Slot("main", 0, 0, width, len(self.page.lines), tuple(self.page.lines)))
        return View(
            headline=sentence(snapshot),
            context=line(Span(context(snapshot, extent), "muted")),
            slots=tuple(slots),
            side=side_lines(data, extent.side_width) if extent.wide else (),
            tables=tuple(self.page.tables),
            drawn=self.page.drawn,
            keys=self._keys(data),
            items=tuple(item.symbol for item in snapshot.datasets),
            item=data.symbol if data else "",
            interest=Interest(candles=True, coin=data.symbol if data else None),
        )

    def _nothing(self) -> None:
        self.page.add(
            BLANK,
            *empty_state(
                "Candles of each coin stand here, with their quality report and a chart.",
                "Synthetic BTC, ETH and BNB for 120 days take about 2 s and need no network.",
                keys=(
                    ("c", "creates synthetic candles"),
                    ("f", "fetches real ones from an exchange"),
                    ("i", "imports a CSV or Parquet file you have"),
                ),
                width=min(self.extent.width, 78),
            ),
        )

    def _remedy(self) -> None:
        last = next((job for job in self.snapshot.jobs if job.kind in JOB_KINDS), None)
        if last is not None and last.state in {"failed", "interrupted"} and last.remedy:
            for label, text in (("   why  ", where_and_why(last)[1]), ("  next  ", last.remedy)):
                for index, row in enumerate(wrap(text, self.extent.width - 8) if text else ()):
                    self.page.add(line(Span(" " * len(label) if index else label, "muted"), row))
            self.page.gap(keep=14)

    def _below(self, data: DatasetView) -> list[Slot]:
        extent, page = self.extent, self.page
        page.gap(keep=12)
        tail = self.snapshot.candles.get(data.symbol)
        show_quality = not extent.wide
        quality = quality_lines(data, extent.width) if show_quality else []
        height = page.room - 1 - len(quality) - (1 if extent.tall and quality else 0)
        if height < 4:
            page.add(*quality)
            return []
        chart_width = extent.width
        title = page.lines
        picture, note = candle_picture(
            self.snapshot, data.symbol, chart_width, height, no_color=extent.no_color
        )
        title.append(rule(data.symbol, note if tail else "reading candles", extent.width))
        top = len(page.lines)
        slots = [Slot("chart", 1, top, chart_width, height, picture)]
        if quality:
            start = top + height + (1 if extent.tall else 0)
            slots.append(Slot("bottom", 0, start, extent.columns - extent.side, len(quality), quality))
        return slots

    def _keys(self, data: DatasetView | None) -> tuple[Key, ...]:
        keys = []
        last = next((job for job in self.snapshot.jobs if job.kind in JOB_KINDS), None)
        if last is not None and last.resumable:
            keys.append(Key("r", "resume", "start the stopped job again", "resume"))
        keys += [
            Key("c", "create", "create synthetic candles: coins, days, market, seed", "create"),
            Key("f", "fetch", "fetch real candles: exchange, coins, start", "fetch"),
            Key("i", "import", "import a CSV or Parquet file", "import"),
        ]
        if any(job.kind in JOB_KINDS for job in self.snapshot.running_jobs):
            keys.append(Key("x", "cancel", "stop the running job at its next safe point", "cancel"))
        if data is not None:
            keys.append(Key("v", "check", "compare the stored values with the manifest's hash", "check"))
        if len(self.snapshot.datasets) > 1:
            keys.append(Key("brackets", "coin", "previous, next coin", "next_item"))
        return tuple(keys)


class DataScreen(ConsoleScreen):
    """Datasets, the candles of one, its quality."""

    MODE = "data"
    PANES = ("main", "bottom")
    CHARTS = ("chart",)

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return DataPage(snapshot, selection, extent).view()

    def choose(self, item: str) -> None:
        """Another coin is another row."""
        self.host.coin = item
        self.select(self.selection.with_cursor("datasets", item))

    def do_create(self) -> None:
        """Ask for coins, range, market and seed."""
        candle_steps.create_candles(self.host)

    def do_import(self) -> None:
        """Ask for a file and a coin."""
        candle_steps.import_candles(self.host)

    def do_fetch(self) -> None:
        """Ask for source, coins and start."""
        candle_steps.fetch_candles(self.host)

    def do_check(self) -> None:
        """Compare values with their hash."""
        row = self.row()
        if row is not None:
            self.host.order(VerifyCandles(**self.host.engine.issue(), symbol=row.key))
