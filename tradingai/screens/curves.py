"""Loss and accuracy by epoch, the earlier run overlaid, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tradingai.engine.queries.model_snapshot import RunView
from tradingai.widgets import numbers
from tradingai.widgets.plot import (
    Level,
    LinePlot,
    Marker,
    Picture,
    Scale,
    Series,
    paint_lines,
    scale,
)

GATE_ACCURACY: Final = 0.68
"""The accuracy gate, drawn where no report says otherwise."""
WIDE_LEGEND: Final = 46
"""Columns from which on the legend has room for whole words."""


def run_marker(run: RunView | None) -> tuple[Marker, str]:
    """What stands at the newest point of a curve."""
    return ("✗", "orange") if run is not None and run.state == "failed" else ("●", "blue")


def ticks_of(axis: Scale, *, percent: bool = False) -> tuple[tuple[float, str], ...]:
    """Labels with as many digits as tell the ticks apart."""
    step = axis.step * (100 if percent else 1)
    digits = next((digits for digits in range(7) if abs(round(step, digits) - step) < 1e-9 * step), 7)
    if percent:
        return tuple((tick, f"{tick * 100:.{digits}f} %") for tick in axis.ticks)
    return tuple((tick, numbers.decimal(tick, digits)) for tick in axis.ticks)


def whole_ticks(epochs: int) -> tuple[tuple[float, str], ...]:
    """Epochs or stages at the axis, seven at most."""
    step = next((size for size in (1, 2, 5, 10, 20, 50, 100) if epochs / size <= 6), 200)
    return tuple((float(epoch), str(epoch)) for epoch in range(0, epochs + 1, step))


def _settled(values: Sequence[tuple[float, float]]) -> list[float]:
    """Values that choose the range: the first epoch is left out as soon as there are two more."""
    return [value for _, value in (values[1:] if len(values) > 2 else values)]


def legend(run: RunView, overlay: RunView | None, width: int) -> tuple[tuple[str, str], ...]:
    """Which stroke is which."""
    items = [("blue", "validation" if width >= WIDE_LEGEND else "val"), ("muted", "train")]
    if overlay is not None:
        items.append(("faint", overlay.label))
    return tuple(items) if run.points or overlay is not None else ()


def loss_picture(
    run: RunView | None, overlay: RunView | None, width: int, height: int, message: str
) -> Picture:
    """Cross-entropy by epoch; what lies above the range leaves at the top."""
    main = [(point.epoch, point.validation_loss) for point in run.points] if run else []
    train = [(point.epoch, point.train_loss) for point in run.points] if run else []
    earlier = [(point.epoch, point.validation_loss) for point in overlay.points] if overlay else []
    values = [*_settled(main), *_settled(train), *_settled(earlier)]
    axis = scale(min(values, default=0.5), max(values, default=0.7), height - 2)
    digits = 3 if axis.step < 0.0099 else 2
    marker, ink = run_marker(run)
    plot = LinePlot(
        (
            Series(earlier, "faint"),
            Series(train, "muted"),
            Series(main, "blue", marker, ink),
        ),
        tuple((tick, f"{tick:.{digits}f}") for tick in axis.ticks),
        (axis.low, axis.high),
        whole_ticks(run.epochs if run else 10),
        0,
        run.epochs if run else 10,
        message=message,
        legend=legend(run, overlay, width) if run else (),
    )
    return paint_lines(plot, width, height)


def accuracy_picture(
    run: RunView | None,
    overlay: RunView | None,
    width: int,
    height: int,
    *,
    oracle: float | None,
    gate: float,
    message: str,
) -> Picture:
    """Validation and training accuracy by epoch, between a coin flip and what there is to learn."""
    main = [(point.epoch, point.validation_accuracy) for point in run.points] if run else []
    train = [(point.epoch, point.train_accuracy) for point in run.points] if run else []
    earlier = [(point.epoch, point.validation_accuracy) for point in overlay.points] if overlay else []
    values = [value for _, value in (*main, *train, *earlier)]
    top = max([*values, gate, *((oracle,) if oracle is not None else ())])
    axis = scale(min([0.5, *values]), top, height - 2)
    levels = [Level(gate, f"gate {gate * 100:.1f}", "orange-dim", "orange")]
    if oracle is not None:
        levels.insert(0, Level(oracle, f"oracle {oracle * 100:.1f}", "muted"))
    marker, ink = run_marker(run)
    digits = 0 if axis.step >= 0.0099 else 1
    plot = LinePlot(
        (Series(earlier, "faint"), Series(train, "muted"), Series(main, "blue", marker, ink)),
        tuple((tick, f"{tick * 100:.{digits}f} %") for tick in axis.ticks),
        (axis.low, axis.high),
        whole_ticks(run.epochs if run else 10),
        0,
        run.epochs if run else 10,
        levels=tuple(levels),
        message=message,
        legend_row=run is not None and bool(legend(run, overlay, width)),
    )
    return paint_lines(plot, width, height)
