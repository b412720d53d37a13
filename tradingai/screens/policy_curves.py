"""The agent's curves by stage: return, entropy, approximate KL, clip fraction, value loss."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from tradingai.engine.queries.model_snapshot import PolicyPoint, RunView
from tradingai.screens.curves import run_marker, ticks_of, whole_ticks
from tradingai.screens.view import Slot
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, pad
from tradingai.widgets.plot import Level, LinePlot, Picture, Series, paint_lines, scale
from tradingai.widgets.section import rule

USUAL_STAGES: Final = 25
"""The axis before a run has said how many stages it has."""
GAP: Final = 3
WIDE_LEGEND: Final = 46


@dataclass(frozen=True, slots=True)
class PolicyCurve:
    """One of the agent's curves: what it is called and how its numbers are written."""

    id: str
    title: str
    unit: str
    value: Callable[[PolicyPoint], float]
    text: Callable[[float | None], str]
    percent: bool = False

    def note(self, run: RunView | None) -> str:
        """The newest value with its unit."""
        if run is None or not run.stages:
            return ""
        return f"{self.text(self.value(run.stages[-1]))} {self.unit}".strip()


def bps(value: float | None) -> str:
    """``+0.83``: basis points a minute."""
    return numbers.NOTHING if value is None else numbers.signed_minus(f"{value:+.2f}")


def kl(value: float | None) -> str:
    """``0.00144``: nats, which are small."""
    return numbers.decimal(value, 5)


POLICY_CURVES: Final = (
    PolicyCurve("return", "Return by stage", "bps a minute", lambda point: point.validation_return_bps, bps),
    PolicyCurve(
        "entropy", "Entropy", "nats", lambda point: point.entropy, lambda value: numbers.decimal(value, 3)
    ),
    PolicyCurve("kl", "Approximate KL", "nats", lambda point: point.approx_kl, kl),
    PolicyCurve(
        "clip",
        "Clip fraction",
        "",
        lambda point: point.clip_fraction,
        lambda value: numbers.percent(value, 2),
        percent=True,
    ),
    PolicyCurve(
        "value", "Value loss", "", lambda point: point.value_loss, lambda value: numbers.decimal(value, 2)
    ),
)
CURVE_IDS: Final = tuple(curve.id for curve in POLICY_CURVES)


def policy_charts(
    run: RunView | None,
    overlay: RunView | None,
    shown: Collection[str],
    width: int,
    height: int,
    message: str,
) -> tuple[list[Slot], int]:
    """The curves ``shown`` in ``height`` rows, the return first: two a row, of five the last three beside one
    another. Also the number of rows taken.
    """
    chosen = [curve for curve in POLICY_CURVES if curve.id in shown]
    rows = [chosen[:2], chosen[2:]] if len(chosen) > 2 else [chosen]
    slots: list[Slot] = []
    top = 0
    for number, curves in enumerate(rows):
        free = height - (len(rows) - 1)
        share = free // len(rows) + (free % len(rows) if number == 0 else 0)
        slots += _row(curves, number, run, overlay, (width, share), top, message)
        top += share + 1
    return slots, height


def _row(
    curves: list[PolicyCurve],
    number: int,
    run: RunView | None,
    overlay: RunView | None,
    size: tuple[int, int],
    top: int,
    message: str,
) -> list[Slot]:
    """Charts beside one another under one row of titles."""
    width, height = size
    free = width - GAP * (len(curves) - 1)
    widths = [free // len(curves) + (1 if index < free % len(curves) else 0) for index in range(len(curves))]
    titles: list[Line] = []
    slots: list[Slot] = []
    left = 1
    for curve, columns in zip(curves, widths, strict=True):
        titles.append(rule(curve.title, curve.note(run), columns))
        picture = policy_picture(curve, run, overlay, columns, height - 1, message)
        slots.append(Slot(curve.id, left, top + 1, columns, height - 1, picture))
        left += columns + GAP
    spans = [span for title in titles for span in (*title.spans, pad(GAP))][:-1]
    name = "titles" if number == 0 else f"titles{number + 1}"
    return [Slot(name, 0, top, width + 2, 1, (Line(tuple(spans)),)), *slots]


def policy_picture(
    curve: PolicyCurve, run: RunView | None, overlay: RunView | None, width: int, height: int, message: str
) -> Picture:
    """One curve by stage, the earlier run overlaid; of the return also the one while exploring."""
    main = [(float(point.stage), curve.value(point)) for point in run.stages] if run else []
    earlier = [(float(point.stage), curve.value(point)) for point in overlay.stages] if overlay else []
    exploring: list[tuple[float, float]] = []
    if curve.id == "return" and run is not None:
        exploring = [(float(point.stage), point.mean_return_bps) for point in run.stages]
    values = [value for _, value in (*main, *exploring, *earlier)]
    if curve.id != "entropy":
        values.append(0.0)
    axis = scale(min(values, default=0.0), max(values, default=1.0), height - 2)
    stages = (run.epochs if run else 0) or USUAL_STAGES
    marker, ink = run_marker(run)
    plot = LinePlot(
        (Series(earlier, "faint"), Series(exploring, "muted"), Series(main, "blue", marker, ink)),
        ticks_of(axis, percent=curve.percent),
        (axis.low, axis.high),
        whole_ticks(stages),
        0,
        stages,
        levels=(Level(0.0, "", "orange-dim"),) if curve.id == "return" and main else (),
        message=message,
        legend=_legend(curve, run, overlay, width),
        legend_row=True,
    )
    return paint_lines(plot, width, height)


def _legend(
    curve: PolicyCurve, run: RunView | None, overlay: RunView | None, width: int
) -> tuple[tuple[str, str], ...]:
    """Which stroke is which, below the return."""
    if curve.id != "return" or run is None or not (run.stages or overlay):
        return ()
    wide = width >= WIDE_LEGEND
    items = [("blue", "greedy, validation" if wide else "greedy"), ("muted", "exploring")]
    if overlay is not None:
        items.append(("faint", overlay.label if wide else "earlier"))
    return tuple(items)
