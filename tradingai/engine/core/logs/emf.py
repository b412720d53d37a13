"""CloudWatch Embedded Metric Format: which members of a log line are metrics, by which dimensions.

Source: "Specification: Embedded metric format" on docs.aws.amazon.com, and the limits that
github.com/awslabs/aws-embedded-metrics-python checks. A line carries its metrics as ordinary root members;
the member ``_aws`` only says which they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

NAMESPACE: Final = "TradingAI"
MOST_METRICS: Final = 100
"""Of one directive."""
MOST_VALUES: Final = 100
"""Of one metric."""
LONGEST_DIMENSION: Final = 1024
"""Characters of a dimension's value."""
LARGEST_VALUE: Final = 2.0**360
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Unit = Literal["Milliseconds", "Percent", "Count", ""]
"""CloudWatch knows no basis points and no money: those, and shares and ratios, have none."""


class Metric(NamedTuple):
    """A root member that is a metric."""

    name: str
    unit: Unit = ""


class Directive(NamedTuple):
    """Metrics, and the sets of dimensions that each of them is counted by."""

    dimensions: tuple[tuple[str, ...], ...]
    metrics: tuple[Metric, ...]


def metadata(line: Mapping[str, Any], directives: Iterable[Directive], at: datetime) -> dict[str, Any] | None:
    """The member ``_aws`` of a line; None when nothing in it can be a metric.

    A metric without a finite number is left out, and so is a set of dimensions without a usable value: the
    format would refuse the whole line.
    """
    found = [entry for directive in directives for entry in _entries(line, directive)]
    if not found:
        return None
    return {"Timestamp": (at - _EPOCH) // timedelta(milliseconds=1), "CloudWatchMetrics": found}


def _entries(line: Mapping[str, Any], directive: Directive) -> Iterator[dict[str, Any]]:
    sets = [list(names) for names in directive.dimensions if all(_names(line.get(name)) for name in names)]
    metrics = [_metric(item) for item in directive.metrics if _measures(line.get(item.name))]
    for first in range(0, len(metrics) if sets else 0, MOST_METRICS):
        part = metrics[first : first + MOST_METRICS]
        yield {"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": part}


def _metric(metric: Metric) -> dict[str, str]:
    return {"Name": metric.name, "Unit": metric.unit} if metric.unit else {"Name": metric.name}


def _names(value: object) -> bool:
    """Whether it may be a dimension's value: printable ASCII that is not blank."""
    if not isinstance(value, str) or len(value) > LONGEST_DIMENSION:
        return False
    return bool(value.strip()) and value.isascii() and value.isprintable()


def _measures(value: object) -> bool:
    """Whether it is a number, or a list of some, that CloudWatch takes."""
    if isinstance(value, list):
        return 0 < len(value) <= MOST_VALUES and all(_is_number(item) for item in value)
    return _is_number(value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST_VALUE and math.isfinite(value)
