"""The text a scraper gets, read by a parser that forgives nothing."""

import math

import pytest
from tradingai.engine.telemetry.exposition import Histogram, Metric, exposition

from tests.fakes.exposition import parse


def test_the_text_of_a_small_exposition():
    scans = Metric("x_scans_total", "counter", "Scans.", ("state",)).starting(0, "done", "failed")
    scans.add(1, "done")
    scans.add(2, "done")
    latency = Histogram("x_latency_seconds", "Latency.", (0.5, 0.1))
    for seconds in (0.1, 0.100001, 0.5, 7):
        latency.observe(seconds)
    assert exposition((scans, latency)) == (
        "# HELP x_scans_total Scans.\n"
        "# TYPE x_scans_total counter\n"
        'x_scans_total{state="done"} 3\n'
        'x_scans_total{state="failed"} 0\n'
        "# HELP x_latency_seconds Latency.\n"
        "# TYPE x_latency_seconds histogram\n"
        'x_latency_seconds_bucket{le="0.1"} 1\n'
        'x_latency_seconds_bucket{le="0.5"} 3\n'
        'x_latency_seconds_bucket{le="+Inf"} 4\n'
        "x_latency_seconds_sum 7.700001\n"
        "x_latency_seconds_count 4\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-3, "-3"), (0.25, "0.25"), (1e22, "1e+22"), (math.nan, "NaN"), (math.inf, "+Inf"),
        (-math.inf, "-Inf"), (199_437.66, "199437.66"), (1 / 3, "0.3333333333333333"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    gauge = Metric("x", "gauge", "X.").starting(value)
    assert exposition([gauge]).splitlines()[-1] == f"x {text}"
    read = parse(exposition([gauge]))["x"].value()
    assert read == value or (math.isnan(read) and math.isnan(value))


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nb", "{,}= ", "ü", "", '\\"\n\\n'])
def test_any_label_value_comes_back(value):
    gauge = Metric("x", "gauge", "A help\nwith \\ in it.", ("one", "two"))
    gauge.set(1, value, "2")
    family = parse(exposition([gauge]))["x"]
    assert family.value(one=value, two="2") == 1
    assert family.text == "A help\nwith \\ in it."


def test_a_metric_that_is_cleared_has_no_children():
    gauge = Metric("x", "gauge", "X.", ("model",))
    gauge.set(1, "lstm")
    gauge.clear()
    assert parse(exposition([gauge]))["x"].samples == {}


@pytest.mark.parametrize(
    "text",
    [
        "# HELP x X.\n# TYPE x gauge\nx 1",
        "x 1\n",
        "# HELP x X.\nx 1\n",
        "# HELP x X.\n# TYPE x gauge\nx 1\nx 2\n",
        "# HELP x X.\n# TYPE x gauge\nx one\n",
        "# HELP x X.\n# TYPE x gauge\nx{a=1} 1\n",
        '# HELP x X.\n# TYPE x gauge\nx{a="\\q"} 1\n',
        '# HELP x X.\n# TYPE x gauge\nx{a="1",} 1\n',
        "# HELP x X.\n# TYPE x gauge\ny 1\n",
        "# HELP x X.\n# TYPE x counter\nx 1\n",
        "# HELP x_total X.\n# TYPE x_total counter\nx_total -1\n",
        "# HELP x X.\n# TYPE x summary\nx 1\n",
        "# HELP x X.\n# TYPE x gauge\nx 1\n# HELP y Y.\n# TYPE y gauge\ny 1\n# HELP x X.\n",
        '# HELP x X.\n# TYPE x histogram\nx_bucket{le="1"} 2\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 1\n',
        '# HELP x X.\n# TYPE x histogram\nx_bucket{le="1"} 1\nx_sum 1\nx_count 1\n',
        '# HELP x X.\n# TYPE x histogram\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 2\n',
        "# HELP x X.\r\n# TYPE x gauge\r\nx 1\r\n",
    ],
)
def test_the_parser_of_these_tests_is_strict(text):
    with pytest.raises((AssertionError, KeyError, ValueError, IndexError)):
        parse(text)
