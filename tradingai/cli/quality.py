"""``tradingai data quality`` as a report: can these candles be trusted, what was found, what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tradingai.cli.context import Invocation
from tradingai.cli.output import count, moment, percent, table, write_json, write_line

if TYPE_CHECKING:
    from tradingai.engine.providers.flag_spans import FlagSpan
    from tradingai.engine.providers.quality import QualityReport
    from tradingai.engine.store.manifests import DatasetManifest

WORST_GAPS: Final = 5
LISTED_FLAGS: Final = 200
"""Spans that ``--flags`` lists for a person; ``--json`` has all."""


def show_quality(call: Invocation, symbol: str, *, flags: bool, as_json: bool) -> int:
    """One symbol's quality report; ``flags`` adds every flagged bar."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.providers.flag_spans import flag_spans, longest_gaps
    from tradingai.engine.providers.quality import QualityReport
    from tradingai.engine.store.candle_files import read_flags
    from tradingai.engine.store.manifests import read_dataset_manifest

    paths = open_home(call.home, RealClock(), read_only=True).paths
    manifest = read_dataset_manifest(paths, symbol)
    if as_json and not flags:
        write_json({"symbol": symbol, "rows": manifest.rows, **manifest.quality})
        return 0
    found = read_flags(paths, symbol)
    spans = flag_spans(found.ts, found.mask) if flags else []
    if as_json:
        listed = [span.as_json() for span in spans]
        write_json({"symbol": symbol, "rows": manifest.rows, **manifest.quality, "flags": listed})
        return 0
    report = QualityReport.from_json(manifest.quality)
    show_report(manifest, report, longest_gaps(found.ts, found.mask, WORST_GAPS))
    if flags:
        show_flags(spans)
    elif len(found.ts):
        write_line(f"{_flagged(len(found.ts))}: --flags lists them.")
    return 0


def show_report(manifest: DatasetManifest, report: QualityReport, gaps: Sequence[FlagSpan]) -> None:
    """Headline, origin, every rule with its count, the sum, the worst gaps."""
    write_line(headline(manifest.symbol, report))
    write_line(
        f"{origin(manifest)}, {moment(manifest.start)} to {moment(manifest.end)}, "
        f"values {manifest.sha256[:12]}"
    )
    write_line()
    write_line(table(("rule", "found", "what was done"), rule_rows(report), right=("found",)))
    write_line()
    write_line(balance(report))
    if gaps:
        write_line()
        write_line(f"Longest of {count(report.gaps)} gaps" if report.gaps > len(gaps) else "Gaps")
        rows = [(moment(gap.start), moment(gap.end), count(gap.bars)) for gap in gaps]
        write_line(table(("from", "to", "minutes"), rows, right=("minutes",)))


def headline(symbol: str, report: QualityReport) -> str:
    """One sentence: is anything wrong, and how much of it."""
    repaired = report.volume_repaired + report.ohlc_repaired
    dropped = report.duplicates + report.leading_dropped
    parts = [
        f"{count(number)} {words}"
        for number, words in (
            (report.filled, f"filled ({percent(report.share_filled, 2)})"),
            (repaired, "repaired"),
            (dropped, f"{_plural(dropped, 'row')} dropped"),
            (report.out_of_order, "put in order"),
        )
        if number
    ]
    what = f"nothing missing, nothing changed in {count(report.rows_out)} minutes"
    if parts:
        what = f"of {count(report.rows_out)} minutes {', '.join(parts)}"
    notable = report.outliers + report.stale_bars + report.zero_volume
    flagged = f"; {count(notable)} {_plural(notable, 'finding')} flagged and left alone" if notable else ""
    return f"{symbol}: {what}{flagged}."


def _flagged(bars: int) -> str:
    return "1 bar carries a flag" if bars == 1 else f"{count(bars)} bars carry a flag"


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"


def origin(manifest: DatasetManifest) -> str:
    """Where the candles come from."""
    if manifest.synthetic:
        return f"Synthetic market {manifest.market}, seed {manifest.seed}"
    file = manifest.parameters.get("file")
    fetched = f", {manifest.exchange} {manifest.market_symbol}" if manifest.exchange else ""
    return f"Real candles, provider {manifest.provider}" + (f", file {file}" if file else fetched)


def rule_rows(report: QualityReport) -> list[tuple[str, str, str]]:
    """Every rule, in the order they are applied."""
    conflicting = report.conflicting_duplicates
    rules: tuple[tuple[str, int, str], ...] = (
        ("rows out of time order", report.out_of_order, "sorted"),
        ("rows of a minute that was there", report.duplicates, f"dropped; {count(conflicting)} disagreed"),
        ("prices missing or not finite", report.non_finite, "the minute is filled"),
        ("prices not above zero", report.non_positive, "the minute is filled"),
        ("unusable rows at the start", report.leading_dropped, "dropped: there is nothing to fill with"),
        ("impossible volumes", report.volume_repaired, "set to 0"),
        ("high or low inside open and close", report.ohlc_repaired, "widened"),
        (
            "minutes missing",
            report.filled,
            f"filled flat, no volume, in {count(report.gaps)} {_plural(report.gaps, 'gap')}",
        ),
        ("outliers", report.outliers, "flagged, left alone"),
        (
            "stale bars",
            report.stale_bars,
            f"flagged, left alone, in {count(report.stale_runs)} {_plural(report.stale_runs, 'run')}",
        ),
        ("bars without volume", report.zero_volume, "flagged, left alone"),
        ("empty bars", report.empty, f"{percent(report.share_empty, 2)}: filled, or flat without volume"),
    )
    return [(words, count(number), done if number else "–") for words, number, done in rules]


def balance(report: QualityReport) -> str:
    """Rows in and out: nothing is dropped or changed without being counted."""
    unusable = report.non_finite + report.non_positive - report.leading_dropped
    terms: list[tuple[str, int, str]] = [
        ("−", report.duplicates + report.leading_dropped, "dropped"),
        ("−", unusable, "unusable"),
        ("+", report.filled, "filled"),
    ]
    steps = "".join(f" {sign} {count(number)} {words}" for sign, number, words in terms if number)
    return f"{count(report.rows_in)} rows in{steps} = {count(report.rows_out)} minutes out"


def show_flags(spans: Sequence[FlagSpan]) -> None:
    """Every span of flagged bars."""
    write_line()
    if not spans:
        write_line("No bar carries a flag.")
        return
    rows = [
        (moment(span.start), moment(span.end), count(span.bars), ", ".join(span.rules))
        for span in spans[:LISTED_FLAGS]
    ]
    write_line(table(("from", "to", "bars", "found"), rows, right=("bars",)))
    if len(spans) > LISTED_FLAGS:
        write_line(f"… and {count(len(spans) - LISTED_FLAGS)} more: --flags --json has them all.")
