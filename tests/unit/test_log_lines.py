"""Log records as lines: one JSON object each, whatever is in them, without secrets."""

import base64
import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.logs.emf import Directive, Metric, metadata
from tradingai.engine.core.logs.json_lines import LARGEST_LINE, LONGEST_TEXT, JsonLines
from tradingai.engine.core.logs.redact import RedactingFormatter, Redactor, redact_handlers

from tests.fakes.emf import RefusedError, metrics_of, parsed

NOW = datetime(2026, 3, 4, 12, 0, 30, 123_456, tzinfo=UTC)
TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
SECRET = TOKEN.partition(":")[2]
PASSWORD = 'p"\\ä w/rd'
PROXY = "socks5://us%65r:p%22%5C%C3%A4%20w%2Frd@127.0.0.1:1080"


def lines(*, emf=True, redactor=None):
    return JsonLines("run", SimulatedClock(NOW), redactor or Redactor(TOKEN, PROXY), emf=emf)


def record(text="hello", *args, level=logging.INFO, exc_info=None, **extra):
    made = logging.LogRecord("tradingai.test", level, __file__, 1, text, args, exc_info)
    made.__dict__.update(extra)
    return made


def document(*args, **kwargs):
    return parsed(lines().format(record(*args, **kwargs)))


def test_every_line_says_when_who_and_what():
    told = document("scan %d", 3)
    assert told == {
        "ts": "2026-03-04T12:00:30.123Z",
        "level": "info",
        "logger": "tradingai.test",
        "msg": "scan 3",
        "process": "run",
        "pid": told["pid"],
    }
    assert isinstance(told["pid"], int)


def test_fields_are_members_of_the_line_and_replace_none_of_its_own():
    fields = {"pair": "BTC-USD", "conf": float("nan"), "n": np.float32(0.5), "pid": "x", "_aws": {}, "msg": 0}
    told = document("m", fields={**fields, "at": NOW, "where": Path("/x"), "deep": {"a": [1, (2, 3)]}})
    assert (told["pair"], told["conf"], told["n"], told["where"]) == ("BTC-USD", None, 0.5, "/x")
    assert told["at"] == "2026-03-04T12:00:30.123456Z"
    assert told["deep"] == {"a": [1, [2, 3]]}
    assert told["msg"] == "m"
    assert "_aws" not in told


class Broken:
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    "odd",
    [
        record("two %s", "a", "b"),
        record("%d", "no number"),
        record(Broken()),
        record("m", fields={"x": Broken()}),
        record("m", fields={"x": 10**5000}),
        record("line\nline\r\u2028line\x00\x1b[31m"),
        record("lone \ud800 surrogate"),
        record("m", fields="no mapping"),
    ],
)
def test_a_strange_record_is_a_line_all_the_same(odd):
    told = parsed(lines().format(odd))
    assert set(told) >= {"ts", "level", "logger", "msg", "process", "pid"}


def test_an_exception_is_part_of_its_line():
    try:
        int(f"https://api.telegram.org/bot{TOKEN}/getMe")
    except ValueError as error:
        told = document("failed", exc_info=(type(error), error, error.__traceback__))
    assert "'https://api.telegram.org/bot<token>/getMe'" in told["exc"]
    assert "test_log_lines.py" in told["exc"]


def test_long_values_are_cut_after_they_were_redacted():
    told = document("x" * (LONGEST_TEXT - 5) + TOKEN)
    assert told["msg"] == "x" * (LONGEST_TEXT - 5) + "<tok…"
    told = document("m", fields={"many": list(range(10_000))})
    assert len(told["many"]) == 200


def test_a_line_is_never_longer_than_cloudwatch_takes():
    fields = {f"text{number}": "€" * LONGEST_TEXT for number in range(100)} | {"mode": "dry-run", "x": 1.5}
    line = lines().format(record(fields=fields, metrics=(Directive((("mode",),), (Metric("x"),)),)))
    assert len(line.encode()) <= LARGEST_LINE
    assert parsed(line)["cut"] is True
    assert metrics_of(line, NOW) == {("x", ("mode",))}
    values = {f"m{number}": [1e300 / 3] * 100 for number in range(150)} | {"mode": "dry-run"}
    metrics = (Directive((("mode",),), tuple(Metric(f"m{number}") for number in range(150))),)
    line = lines().format(record(fields=values, metrics=metrics))
    assert len(line.encode()) <= LARGEST_LINE
    assert parsed(line)["msg"] == "hello"


@pytest.mark.parametrize(
    "written",
    [
        TOKEN,
        SECRET,
        f"https://api.telegram.org/bot{TOKEN}/sendMessage",
        TOKEN.replace(":", "%3A"),
        PROXY,
        PASSWORD,
        f"user:{PASSWORD}",
        "p%22%5C%C3%A4%20w%2Frd",
        repr(PASSWORD),
        "Proxy-Authorization: Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    ],
)
def test_no_secret_is_in_a_line_however_it_is_written(written):
    for made in (
        record(written),
        record("%s", written),
        record("m", fields={"x": written, written: [written], "deep": {"a": {written: (written,)}}}),
        record("m", exc_info=(ValueError, ValueError(written), None)),
    ):
        line = lines().format(made)
        for form in (SECRET, PASSWORD, json.dumps(PASSWORD)[1:-1], "p%22%5C%C3%A4%20w%2Frd", "p\\\\"):
            assert form not in line
        assert "<token>" in line or "<password>" in line or "***" in line


def test_secrets_that_nobody_told_of_are_recognised():
    redact = Redactor()
    assert redact(f"bot{TOKEN[:3]} x {TOKEN} y") == "bot123 x <token> y"
    assert redact("http://ann:hunter2@proxy:8080/x@y") == "http://***@proxy:8080/x@y"
    assert redact("12:30:45 ratio 3:4, a@b, http://host/a@b") == "12:30:45 ratio 3:4, a@b, http://host/a@b"


def test_a_short_password_is_redacted_where_it_can_be_told_apart():
    redact = Redactor("", "http://ann:a@proxy")
    assert (
        redact("ann:a at http://ann:a@proxy is a proxy") == "<password> at http://<password>@proxy is a proxy"
    )


def test_a_proxy_without_a_password_and_no_proxy_hide_nothing():
    assert Redactor("", "socks5://127.0.0.1:1080") == Redactor() == Redactor("", "http://ann@proxy")
    assert Redactor(TOKEN) != Redactor()
    assert repr(Redactor(TOKEN)) == "Redactor()"


def test_handlers_of_others_are_redacted_once():
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    try:
        redact_handlers(Redactor(TOKEN))
        formatter = handler.formatter
        redact_handlers(Redactor(TOKEN))
        assert handler.formatter is formatter
        assert isinstance(formatter, RedactingFormatter)
        logging.getLogger("ccxt").warning("GET %s", f"bot{TOKEN}")
    finally:
        root.removeHandler(handler)
    assert SECRET not in stream.getvalue()


# -- CloudWatch


PAIR = Directive((("pair", "mode"), ("mode",)), (Metric("lat_ms", "Milliseconds"), Metric("spread_bps")))


def test_the_example_of_the_specification():
    line = {"pair": "BTC-USD", "mode": "DRY-RUN", "lat_ms": [12.5, 13.1], "spread_bps": 9.8}
    assert metadata(line, [PAIR], NOW) == {
        "Timestamp": 1772625630123,
        "CloudWatchMetrics": [
            {
                "Namespace": "TradingAI",
                "Dimensions": [["pair", "mode"], ["mode"]],
                "Metrics": [{"Name": "lat_ms", "Unit": "Milliseconds"}, {"Name": "spread_bps"}],
            }
        ],
    }


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), None, True, "9", [], [1.0] * 101, [None], 2.0**361]
)
def test_a_metric_without_a_number_is_dropped_and_the_rest_stays(bad):
    fields = {"pair": "BTC-USD", "mode": "dry-run", "lat_ms": bad, "spread_bps": 9.8}
    line = lines().format(record(fields=fields, metrics=(PAIR,)))
    assert metrics_of(line, NOW) == {("spread_bps", ("pair", "mode")), ("spread_bps", ("mode",))}


@pytest.mark.parametrize("bad", ["", " ", "Ä", "a\nb", "x" * 1025, None, 5])
def test_a_set_of_dimensions_without_its_value_is_dropped_and_the_rest_stays(bad):
    fields = {"pair": bad, "mode": "dry-run", "spread_bps": 9.8}
    line = lines().format(record(fields=fields, metrics=(PAIR,)))
    assert metrics_of(line, NOW) == {("spread_bps", ("mode",))}


def test_a_line_of_which_nothing_can_be_a_metric_is_a_line():
    fields = {"mode": "", "spread_bps": 9.8}
    assert metrics_of(lines().format(record(fields=fields, metrics=(PAIR,))), NOW) == set()
    assert (
        parsed(lines(emf=False).format(record(fields={"mode": "m", "lat_ms": 1}, metrics=(PAIR,)))).get(
            "_aws"
        )
        is None
    )


def test_more_than_a_hundred_metrics_are_several_directives():
    fields = {"mode": "dry-run", **{f"m{number}": number for number in range(150)}}
    metrics = (Directive((("mode",),), tuple(Metric(f"m{number}", "Count") for number in range(150))),)
    line = lines().format(record(fields=fields, metrics=metrics))
    assert len(metrics_of(line, NOW)) == 150
    assert [len(part["Metrics"]) for part in parsed(line)["_aws"]["CloudWatchMetrics"]] == [100, 50]


GOOD = {
    "_aws": {
        "Timestamp": 1772625630123,
        "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["mode"]], "Metrics": [{"Name": "x", "Unit": "Count"}]}
        ],
    },
    "mode": "dry-run",
    "x": 1,
}


def test_the_validator_takes_what_is_valid():
    assert metrics_of(json.dumps(GOOD), NOW) == {("x", ("mode",))}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["_aws"].update(Timestamp=1772625630.5),
        lambda d: d["_aws"].update(Timestamp=1772625630),
        lambda d: d.update(mode=5),
        lambda d: d.update(mode=""),
        lambda d: d.update(mode="Ä"),
        lambda d: d.update(mode="x" * 1025),
        lambda d: d.update(x="1"),
        lambda d: d.update(x=True),
        lambda d: d.update(x=[]),
        lambda d: d.update(x=[1] * 101),
        lambda d: d.update(x=float("nan")),
        lambda d: d.pop("x"),
        lambda d: d.pop("mode"),
        lambda d: d["_aws"]["CloudWatchMetrics"][0].update(Dimensions=["mode"]),
        lambda d: d["_aws"]["CloudWatchMetrics"][0].update(Dimensions=[]),
        lambda d: d["_aws"]["CloudWatchMetrics"][0].update(Namespace="a b"),
        lambda d: d["_aws"]["CloudWatchMetrics"][0]["Metrics"][0].update(Unit="BasisPoints"),
        lambda d: d["_aws"]["CloudWatchMetrics"][0]["Metrics"][0].update(StorageResolution=5),
        lambda d: d["_aws"]["CloudWatchMetrics"][0].update(Metrics=[{"Name": "x"}] * 101),
        lambda d: d.update(y="x" * 300_000),
    ],
)
def test_the_validator_refuses_what_cloudwatch_would(spoil):
    document = json.loads(json.dumps(GOOD))
    spoil(document)
    with pytest.raises(RefusedError):
        metrics_of(json.dumps(document), NOW)
