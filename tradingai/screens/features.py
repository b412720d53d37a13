"""3 Features: are they built, causal, and stable?"""

from __future__ import annotations

import math
from typing import Final

from tradingai.engine.queries.snapshot import (
    ConsoleSnapshot,
    FeatureBuildView,
    FeaturesView,
    FeatureView,
    Interest,
    JobView,
)
from tradingai.screens import steps
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.commands import CheckFeatures
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
from tradingai.widgets.bars import progress
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import Column, Row, Table, pair, rule, stack
from tradingai.widgets.signs import sign
from tradingai.widgets.spark import sparkline

SORTS: Final = ("drift", "name", "group")
JOB_KINDS: Final = ("features", "features_check")
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


def value_text(value: float | None) -> str:
    """A feature's value with as many decimals as its size deserves."""
    if value is None or not math.isfinite(value):
        return numbers.NOTHING
    if value == round(value) and abs(value) < 1e6:
        return numbers.count(value)
    size = abs(value)
    digits = 5 if size < 0.01 else 4 if size < 10 else 2
    return numbers.decimal(value, digits)


def drift_cell(feature: FeatureView, limit: float) -> Span:
    """The stability index, marked beyond the limit."""
    if feature.drift is None:
        return Span(numbers.NOTHING, "faint")
    text = numbers.decimal(feature.drift, 2)
    return Span(f"! {text}", "orange") if feature.drift > limit else Span(text, "text")


def ordered(columns: tuple[FeatureView, ...], sort: int) -> list[FeatureView]:
    """The features in the chosen order."""
    order = SORTS[sort % len(SORTS)]
    if order == "name":
        return sorted(columns, key=lambda item: item.name)
    if order == "group":
        return sorted(columns, key=lambda item: (item.group, item.name))
    return sorted(columns, key=lambda item: (-(item.drift if item.drift is not None else -1.0), item.name))


def features_table(snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> Table:
    """One row a feature of the selected coin."""
    view = snapshot.features
    spark = 13 if extent.narrow else 36
    columns = (
        Column("name", 18 if extent.narrow else 24),
        Column("group", 11, spare=1),
        Column("look-back", 9, "right"),
        Column("last 60 min", spark, spare=2),
        Column("value", 0, "right", least=8),
        Column("drift", 6, "right"),
    )
    rows = [
        Row(
            item.name,
            (
                Span(item.name),
                Span(item.group, "muted"),
                Span(f"{numbers.count(item.lookback_minutes)} m", "muted"),
                Span(sparkline(item.recent, spark)),
                Span(value_text(item.value)),
                drift_cell(item, view.drift_limit),
            ),
            plain=(
                item.name,
                item.group,
                str(item.lookback_minutes),
                item.source,
                "" if item.value is None else repr(item.value),
                "" if item.drift is None else repr(item.drift),
            ),
        )
        for item in ordered(view.columns, selection.sort)
    ]
    order = SORTS[selection.sort % len(SORTS)]
    coin = f"{view.coin}, " if not extent.narrow else ""
    shown = filtered(rows, selection.filter)
    number = f"{len(shown)} of {len(rows)}" if selection.filter else f"{len(rows)}"
    note = f"{coin}{number}, sorted by {order}, limit {view.drift_limit:.2f}"
    heads = ("name", "group", "lookback_minutes", "source", "value", "drift")
    start = view.check.feature if view.check and not view.check.passed else ""
    return Table("features", "Features", note, columns, shown, heads, signed=False, sorts=SORTS, start=start)


def _build_tail(job: JobView | None, build: FeatureBuildView | None, extent: Extent) -> tuple[Span, ...]:
    bar = 24 if extent.narrow else 32
    rate = 18
    if job is not None and job.state in {"running", "queued"}:
        share = numbers.percent(job.fraction, 0) if job.fraction is not None else numbers.NOTHING
        speed = numbers.short(job.rate, f"{job.unit}/s") if job.rate else ""
        return (
            *progress(job.fraction, bar),
            Span(f"{share:>6}"),
            *fit(Span(speed), rate, "right"),
            *fit(Span(f"ETA {numbers.stopwatch(job.eta_s)}", "muted"), 14, "right"),
        )
    if job is not None and job.state in {"failed", "interrupted", "cancelled"}:
        return fit(Span(f"{job.state}: {job.message}".rstrip(": "), "orange"), bar + 6 + rate + 14)
    if job is not None and job.state == "skipped":
        return (Span("skipped, inputs unchanged", "muted"),)
    took = job.took_s if job is not None else build.took_s if build is not None else None
    pace = job.rate if job is not None and job.rate else build.rows_per_s if build is not None else None
    word = "built" if build is None or build.current else "out of date: candles or definitions changed"
    return (
        *fit(Span(word, "muted" if word == "built" else "orange"), bar + 6),
        *fit(Span(numbers.short(pace, "rows/s") if pace else "", "text"), rate, "right"),
        *fit(Span(numbers.took(took) if took is not None else "", "muted"), 14, "right"),
    )


def jobs_table(snapshot: ConsoleSnapshot, extent: Extent) -> Table:
    """One row a coin: how far its matrix is, or what its last build came to."""
    view = snapshot.features
    coins = list(
        dict.fromkeys(
            (
                *(data.symbol for data in snapshot.datasets),
                *(build.symbol for build in view.builds),
                *(job.target for job in snapshot.jobs if job.kind == "features"),
            )
        )
    )
    rows = []
    for coin in coins:
        job = snapshot.last_job("features", coin)
        build = next((item for item in view.builds if item.symbol == coin), None)
        if job is None and build is None:
            rows.append(
                Row(coin, (Span(coin), Span("")), sign("waiting"), tail=(Span("not built yet", "faint"),))
            )
            continue
        state = job.state if job is not None else "done"
        tail = _build_tail(job, build, extent)
        rows.append(
            Row(job.id if job else coin, (Span(coin), Span("")), sign(state), (coin, state), tail=tail)
        )
    peaks = [job.memory_bytes for job in snapshot.jobs if job.kind == "features" and job.memory_bytes]
    peaks += [build.peak_memory_bytes for build in view.builds if build.peak_memory_bytes]
    note = ""
    if peaks:
        limit = f" of {numbers.gigabytes(view.memory_limit_bytes)} GB" if view.memory_limit_bytes else " GB"
        note = f"peak {numbers.gigabytes(max(peaks))}{limit}"
    return Table("jobs", "Builds", note, (Column("coin", 8), Column("", 0)), tuple(rows), ("coin", "state"))


def sentence(snapshot: ConsoleSnapshot) -> Line:
    """Built, building, or what differs."""
    view = snapshot.features
    running = [job for job in snapshot.running_jobs if job.kind in JOB_KINDS]
    if running:
        job = running[0]
        left = f", {numbers.about(job.eta_s)} left" if job.eta_s is not None else ""
        what = f"{len(view.columns)} features; " if view.columns else ""
        return headline(
            f"{what}{job.target} is {'building' if job.kind == 'features' else 'being checked'}{left}."
        )
    if view.check is not None and not view.check.passed:
        return headline(view.check.summary, alarm=True)
    last = next((job for job in snapshot.jobs if job.kind in JOB_KINDS), None)
    if last is not None and last.state in {"failed", "interrupted"}:
        return headline(f"{opening(last.title)}: {last.message}", alarm=True)
    return _built_sentence(view)


def _built_sentence(view: FeaturesView) -> Line:
    if not view.builds:
        return headline("No features yet.")
    text = f"{view.builds[0].features} features for {numbers.plural(len(view.builds), 'coin')}"
    stale = [build.symbol for build in view.builds if not build.current]
    if stale:
        return headline(f"{text}; {stale[0]} is out of date.", alarm=True)
    drifted = sum(1 for item in view.columns if item.drift is not None and item.drift > view.drift_limit)
    if drifted:
        return headline(f"{text}; {drifted} drift beyond {view.drift_limit:.2f}.")
    return headline(f"{text}{'; causal, ' + view.check.summary if view.check else ''}.")


def histogram_lines(feature: FeatureView, width: int, rows: int = 5) -> list[Line]:
    """The training range's distribution, with today's value under it."""
    shares = feature.histogram
    if not shares or feature.low is None or feature.high is None:
        return []
    cells = max(1, min(2, width // len(shares)))
    top = max(shares) or 1.0
    lines = []
    for row in range(rows):
        text = ""
        for share in shares:
            eighths = round(share / top * rows * 8) - (rows - 1 - row) * 8
            text += _EIGHTHS[min(8, max(0, eighths))] * cells
        lines.append(line(Span(text, "muted")))
    total = len(shares) * cells
    if feature.value is not None and math.isfinite(feature.value) and feature.high > feature.low:
        at = (feature.value - feature.low) / (feature.high - feature.low)
        column = min(total - 1, max(0, int(at * total)))
        lines.append(line(pad(column), Span("▲", "blue"), Span(" now", "muted")))
    low, high = value_text(feature.low), value_text(feature.high)
    lines.append(Line((Span(low, "faint"), pad(total - len(low) - len(high)), Span(high, "faint"))))
    return lines


def side_lines(snapshot: ConsoleSnapshot, row: Row | None, width: int) -> list[Line]:
    """The selected feature: where it comes from, how it is distributed; and the last check."""
    view = snapshot.features
    feature = next((item for item in view.columns if row and item.name == row.key), None)
    groups: list[list[Line]] = []
    if feature is not None:
        facts = [
            rule(feature.name, feature.group, width),
            pair("look-back", f"{numbers.count(feature.lookback_minutes)} min", width),
            pair("value", value_text(feature.value), width),
            pair("drift, 7 days", drift_cell(feature, view.drift_limit), width),
        ]
        facts += [line(Span(text, "muted")) for text in wrap(feature.source, width)]
        groups.append(facts)
        shape = histogram_lines(feature, width)
        if shape:
            groups.append([rule("Training range", "share of rows", width), *shape])
    if view.builds:
        build = next((item for item in view.builds if item.symbol == view.coin), view.builds[0])
        groups.append(
            [
                rule("Matrix", build.symbol, width),
                pair("rows × features", f"{numbers.count(build.rows)} × {build.features}", width),
                pair("hash of values", numbers.hash_groups(build.sha256), width),
                pair("definitions", numbers.hash_groups(build.definitions_sha256), width),
                pair("built", f"{build.created_at:%Y-%m-%d %H:%MZ}" if build.created_at else "–", width),
            ]
        )
    check = view.check
    if check is not None:
        word = Span("✓ PASS", "blue+b") if check.passed else Span("✗ FAIL", "orange+b")
        lines = [rule("Causality and parity", word, width)]
        lines += [line(text) for text in wrap(check.summary, width)]
        lines.append(pair("checked", f"{check.at:%Y-%m-%d %H:%MZ}" if check.at else numbers.NOTHING, width))
        groups.append(lines)
    return stack(*groups)


def features_view(snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
    """The page: builds, then the features."""
    page = Page(extent, selection, ("features", "jobs"))
    table = features_table(snapshot, selection, extent)
    jobs = jobs_table(snapshot, extent)
    if not snapshot.datasets and not jobs.rows:
        texts = (
            "Every declared feature stands here with its group, look-back, last hour and drift.",
            "They are computed from candles, and there are none yet.",
        )
        keys: tuple[tuple[str, str], ...] = (("2", "Data, where c creates candles"),)
        page.add(BLANK, *empty_state(*texts, keys=keys, width=min(78, extent.width)))
    else:
        page.table(jobs, heads=False, rows=max(3, min(len(jobs.rows), extent.height // 3)))
        page.gap()
        _features_part(page, snapshot, table, selection)
    row = page.cursor(table)
    coins = tuple(build.symbol for build in snapshot.features.builds)
    return View(
        headline=sentence(snapshot),
        context=line(Span(context(snapshot, extent), "muted")),
        slots=(Slot("main", 0, 0, extent.columns - extent.side, extent.height, tuple(page.lines)),),
        side=side_lines(snapshot, row, extent.side_width) if extent.wide else (),
        tables=tuple(reversed(page.tables)),
        drawn=page.drawn,
        keys=_keys(snapshot, coins),
        items=coins,
        item=snapshot.features.coin,
        interest=Interest(feature_values=True, coin=selection.coin or None),
    )


def _features_part(page: Page, snapshot: ConsoleSnapshot, table: Table, selection: Selection) -> None:
    width = page.extent.width
    failed = snapshot.last_job("features")
    if failed is not None and failed.state == "failed" and failed.remedy:
        page.add(*paragraph(failed.remedy, width))
        page.gap()
    if table.rows:
        page.table(table)
    elif selection.filter:
        page.add(rule("Features", f"filter {selection.filter}", width))
        page.add(*paragraph("No feature matches. esc clears the filter.", width))
    elif snapshot.features.builds:
        page.add(rule("Features", "", width), *paragraph("Reading values.", width))
    else:
        page.add(
            *empty_state(
                f"No features yet. {numbers.plural(len(snapshot.datasets), 'coin')} "
                f"take about {numbers.about(sum(data.rows for data in snapshot.datasets) / 550_000)}.",
                keys=(("b", "builds them"),),
                width=min(78, width),
            )
        )


def _keys(snapshot: ConsoleSnapshot, coins: tuple[str, ...]) -> tuple[Key, ...]:
    keys = []
    last = next((job for job in snapshot.jobs if job.kind == "features"), None)
    if last is not None and last.resumable:
        keys.append(Key("r", "resume", "start the stopped build again", "resume"))
    if snapshot.datasets:
        keys.append(
            Key("b", "build", "build the features of every coin; unchanged ones are skipped", "build")
        )
    if coins:
        keys.append(Key("c", "check", "prove causality and parity on this coin's data", "check"))
    if any(job.kind in JOB_KINDS for job in snapshot.running_jobs):
        keys.append(Key("x", "cancel", "stop the running job at its next safe point", "cancel"))
    if snapshot.features.columns:
        keys.append(Key("s", "sort", "sort by drift, name or group", "sort"))
    if len(coins) > 1:
        keys.append(Key("brackets", "coin", "previous, next coin", "next_item"))
    if snapshot.features.columns:
        keys.append(Key("e", "export", "export the rows as CSV", "export"))
    return tuple(keys)


class FeaturesScreen(ConsoleScreen):
    """Builds, and the features of one coin."""

    MODE = "features"

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return features_view(snapshot, selection, extent)

    def do_build(self) -> None:
        """Build every coin's features."""
        steps.build_features(self.host, [data.symbol for data in self.host.snapshot.datasets])

    def do_check(self) -> None:
        """Check causality and parity."""
        coin = self.host.snapshot.features.coin
        if coin:
            self.host.order(CheckFeatures(**self.host.engine.issue(), symbol=coin))
