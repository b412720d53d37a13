"""When an engine is well, and what is said when it is not."""

from datetime import UTC, datetime

import pytest
from tradingai.engine.telemetry.health import Vitals, judge

DUE = datetime(2026, 3, 4, 12, 2, tzinfo=UTC)
SCAN = {"seq": 7, "state": "done", "at": DUE, "detail": ""}
FAILED = {"seq": 8, "state": "failed", "at": DUE, "detail": "disk full"}


def vitals(**changes):
    usual = {"interval_s": 120.0, "heartbeat_s": 30.0, "beat_age_s": 12.0, "scan_age_s": 90.0, "scan": SCAN}
    return Vitals(**{**usual, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"beat_age_s": 70.0},
        {"scan_age_s": 250.0},
        {"scan_age_s": -3600.0},
        {"scan": FAILED},
        {"interval_s": 3600.0, "scan_age_s": 7209.0},
    ],
)
def test_well(changes):
    assert judge(vitals(**changes)).ok


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"beat_age_s": 70.1}, ["the last heartbeat is 70 s old, more than 70 s"]),
        ({"scan_age_s": 251.0}, ["the last scan that decided is 251 s old, more than 250 s"]),
        (
            {"scan_age_s": 251.0, "scan": FAILED},
            ["the last scan that decided is 251 s old, more than 250 s; the newest one failed: disk full"],
        ),
        (
            {"interval_s": 60.0, "scan_age_s": 131.0},
            ["the last scan that decided is 131 s old, more than 130 s"],
        ),
        (
            {"scan_age_s": None, "scan": None, "next_due": DUE},
            ["no scan has decided since the engine started: the next is due at 2026-03-04T12:02:00Z"],
        ),
        (
            {"scan_age_s": None, "scan": FAILED},
            ["no scan has decided since the engine started; the newest one failed: disk full"],
        ),
        ({"beat_age_s": None, "interval_s": None}, ["no heartbeat yet"]),
        (
            {"beat_age_s": 99.0, "scan_age_s": 999.0},
            [
                "the last heartbeat is 99 s old, more than 70 s",
                "the last scan that decided is 999 s old, more than 250 s",
            ],
        ),
        ({"store_fault": "it is damaged", "beat_age_s": 99.0}, ["the store cannot be read: it is damaged"]),
    ],
)
def test_not_well(changes, reasons):
    found = judge(vitals(**changes))
    assert not found.ok
    assert list(found.reasons) == reasons
