"""The published rules of CloudWatch Embedded Metric Format and of dashboards, as strict as they are.

Sources: "Specification: Embedded metric format" and "Dashboard Body Structure and Syntax" on
docs.aws.amazon.com; ``constants.py``, ``validator.py``, ``unit.py`` of aws-embedded-metrics-python. Nothing
of the product is imported: the rules are written down a second time.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from typing import Any

_SIZES = [f"{prefix}{name}" for name in ("bytes", "bits") for prefix in ("", "kilo", "mega", "giga", "tera")]
_SIZE_UNITS = {unit.capitalize() for unit in _SIZES}
UNITS = {
    "Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None",
    *_SIZE_UNITS, *(f"{unit}/Second" for unit in _SIZE_UNITS),
}  # fmt: skip
MOST_BYTES = 256 * 1024


class RefusedError(AssertionError):
    """CloudWatch would not make a metric of it."""


def _need(condition: object, words: str) -> None:
    if not condition:
        raise RefusedError(words)


def _constant(name: str) -> Any:
    raise RefusedError(f"{name} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    _need(len(names) == len(set(names)), f"a member twice: {names}")
    return dict(pairs)


def parsed(line: str) -> dict[str, Any]:
    """One log event: one JSON object on one line, no member twice, no NaN, no more than 256 KB."""
    _need("\n" not in line and "\r" not in line, "more than one line")
    _need(len(line.encode()) <= MOST_BYTES, f"{len(line.encode())} bytes")
    document = json.loads(line, parse_constant=_constant, object_pairs_hook=_once)
    _need(isinstance(document, dict), "no object")
    return document


def metrics_of(line: str, now: datetime) -> set[tuple[str, tuple[str, ...]]]:
    """Every (metric, set of dimension names) of a line. Raises RefusedError for what breaks a rule."""
    root = parsed(line)
    if "_aws" not in root:
        return set()
    aws = root["_aws"]
    _need(set(aws) == {"Timestamp", "CloudWatchMetrics"}, f"members of _aws: {set(aws)}")
    stamp = aws["Timestamp"]
    _need(type(stamp) is int, f"Timestamp {stamp!r}")
    age = now - datetime.fromtimestamp(stamp / 1000, tz=now.tzinfo)
    _need(-timedelta(hours=2) <= age <= timedelta(days=14), f"Timestamp is {age} old")
    _need(isinstance(aws["CloudWatchMetrics"], list) and aws["CloudWatchMetrics"], "no directive")
    found: set[tuple[str, tuple[str, ...]]] = set()
    for directive in aws["CloudWatchMetrics"]:
        found |= _directive(root, directive)
    return found


def _directive(root: dict[str, Any], directive: dict[str, Any]) -> set[tuple[str, tuple[str, ...]]]:
    _need(set(directive) == {"Namespace", "Dimensions", "Metrics"}, f"members {set(directive)}")
    _need(re.fullmatch(r"[A-Za-z0-9._#:/-]{1,255}", directive["Namespace"]), directive["Namespace"])
    sets, metrics = directive["Dimensions"], directive["Metrics"]
    _need(isinstance(sets, list) and sets, "no set of dimensions")
    for names in sets:
        _need(isinstance(names, list), f"{names!r} is no list: Dimensions is a list of lists")
        _need(len(names) <= 30 and len(set(names)) == len(names), f"dimensions {names}")
        for name in names:
            _dimension(root, name)
    _need(isinstance(metrics, list) and 1 <= len(metrics) <= 100, f"{len(metrics)} metrics")
    names = [metric["Name"] for metric in metrics]
    _need(len(set(names)) == len(names), f"a metric twice: {names}")
    for metric in metrics:
        _metric(root, metric)
    return {(name, tuple(dimensions)) for name in names for dimensions in sets}


def _dimension(root: dict[str, Any], name: str) -> None:
    _need(isinstance(name, str) and 1 <= len(name) <= 250 and not name.startswith(":"), f"dimension {name!r}")
    _need(name in root, f"dimension {name} is no member of the root")
    value = root[name]
    _need(isinstance(value, str), f"dimension {name} is {type(value).__name__}")
    _need(1 <= len(value) <= 1024 and value.strip(), f"dimension {name} has {len(value)} characters")
    _need(all(32 <= ord(letter) < 127 for letter in value), f"dimension {name} is not printable ASCII")


def _metric(root: dict[str, Any], metric: dict[str, Any]) -> None:
    _need(set(metric) <= {"Name", "Unit", "StorageResolution"}, f"members {set(metric)}")
    name = metric["Name"]
    _need(isinstance(name, str) and 1 <= len(name) <= 1024 and name.isascii() and name.strip(), f"{name!r}")
    _need(metric.get("Unit", "None") in UNITS, f"unit {metric.get('Unit')} of {name}")
    _need(metric.get("StorageResolution", 60) in {1, 60}, f"resolution of {name}")
    _need(name in root, f"metric {name} is no member of the root")
    values = root[name] if isinstance(root[name], list) else [root[name]]
    _need(1 <= len(values) <= 100, f"{len(values)} values of {name}")
    for value in values:
        _need(type(value) in {int, float}, f"{name} is {value!r}")
        _need(math.isfinite(value) and abs(value) <= 2**360, f"{name} is {value!r}")


def widgets_of(body: str) -> list[dict[str, Any]]:
    """The widgets of a dashboard body. Raises RefusedError for what breaks a rule of grid, period or rows."""
    document = json.loads(body, parse_constant=_constant, object_pairs_hook=_once)
    _need(set(document) <= {"widgets", "start", "end", "periodOverride", "variables"}, f"{set(document)}")
    widgets = document["widgets"]
    _need(isinstance(widgets, list) and len(widgets) <= 500, "widgets")
    _need(document.get("periodOverride", "auto") in {"auto", "inherit"}, "periodOverride")
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        _grid(widget, taken)
        if widget["type"] == "metric":
            _metric_widget(widget["properties"])
        else:
            _need(widget["type"] == "text" and widget["properties"]["markdown"], f"type {widget['type']}")
    return list(widgets)


def _grid(widget: dict[str, Any], taken: set[tuple[int, int]]) -> None:
    x, y = widget["x"], widget["y"]
    width, height = widget.get("width", 6), widget.get("height", 6)
    _need(all(type(value) is int for value in (x, y, width, height)), "no whole numbers")
    _need(0 <= x <= 23 and y >= 0 and 1 <= width <= 24 and 1 <= height <= 1000, f"at {x}, {y}")
    _need(x + width <= 24, f"reaches beyond column 24 at {x}, {y}")
    cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
    _need(not cells & taken, f"lies over another widget at {x}, {y}")
    taken |= cells


def _metric_widget(properties: dict[str, Any]) -> None:
    _need(re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", properties["region"]), f"region {properties['region']}")
    _need(
        properties.get("view", "timeSeries") in {"timeSeries", "singleValue", "bar", "pie", "table"}, "view"
    )
    rows = properties["metrics"]
    _need(1 <= len(rows) <= 500, "rows")
    for settings in [properties, *(row[-1] for row in rows if isinstance(row[-1], dict))]:
        period, stat = settings.get("period", 60), settings.get("stat", "Average")
        _need(period in {1, 5, 10, 30} or period % 60 == 0, f"period {period}")
        _need(period >= 60, "a period below a minute needs high-resolution metrics")
        known = {"Average", "Sum", "Minimum", "Maximum", "SampleCount"}
        _need(stat in known or re.fullmatch(r"p\d{1,2}(\.\d+)?", stat), f"stat {stat}")
    rows_of(properties)


def rows_of(properties: dict[str, Any]) -> list[tuple[str, str, dict[str, str]]]:
    """Each row of a widget as (namespace, metric, dimensions), its abbreviations written out."""
    found: list[tuple[str, str, dict[str, str]]] = []
    above: list[str] = []
    for row in properties["metrics"]:
        texts = [item for item in row if not isinstance(item, dict)]
        _need(len(row) - len(texts) <= 1 and row[: len(texts)] == texts, "options come last, once")
        full: list[str] = []
        for item in texts:
            if item == "...":
                full += above[len(full) : len(above) - (len(texts) - texts.index(item) - 1)]
            else:
                full.append(above[len(full)] if item == "." else item)
        _need(len(full) >= 2 and len(full) % 2 == 0, f"row {row}")
        above = full
        found.append((full[0], full[1], dict(zip(full[2::2], full[3::2], strict=True))))
    return found
