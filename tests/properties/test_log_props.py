"""Whatever a scan holds, its lines are one JSON object each and valid Embedded Metric Format."""

import logging
import math
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.logs.json_lines import JsonLines
from tradingai.engine.core.logs.process_log import SCANS
from tradingai.engine.core.logs.redact import Redactor
from tradingai.engine.decision.records import Decision, Reason, Side, Signal
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.ftmo_status import FloorDistance
from tradingai.engine.runtime.scan_lines import (
    DECISION_METRICS,
    SCAN_METRICS,
    SIGNAL_METRICS,
    log_scan,
)
from tradingai.engine.runtime.scanned import Scanned, ScannedAccount

from tests.fakes.emf import metrics_of, parsed

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1e308, 5e-324])
TEXTS = st.sampled_from(["BTC-USD", "dry-run", "", " ", "Ä", "x" * 2000, "a\nb", "\ud800"]) | st.text(
    max_size=20
)
TIERS = st.sampled_from([None, *Tier])


@st.composite
def decisions(draw):
    pair = draw(TEXTS)
    signal = Signal(
        pair, pair, draw(st.sampled_from(Side)), draw(TIERS), *(draw(NUMBERS) for _ in range(10)), draw(TEXTS)
    )
    return Decision(
        symbol=pair,
        at_us=draw(st.integers(0, 2 * 10**15)),
        candle_us=draw(st.none() | st.integers(0, 2 * 10**15)),
        reason=draw(st.sampled_from(Reason)),
        detail=draw(TEXTS),
        p_up=draw(st.none() | NUMBERS),
        confidence=draw(st.none() | NUMBERS),
        side=draw(st.sampled_from([None, *Side])),
        tier=draw(TIERS),
        threshold=draw(NUMBERS),
        size_factor=1.0,
        outputs=draw(st.dictionaries(TEXTS, NUMBERS, max_size=3)),
        versions=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        input_sha256=draw(TEXTS),
        signal=draw(st.none() | st.just(signal)),
    )


@st.composite
def scans(draw):
    made = tuple(draw(st.lists(decisions(), max_size=3)))
    names = ("daily stop", "daily limit", "total stop", "total limit")
    account = ScannedAccount(
        draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), draw(TEXTS),
        tuple(FloorDistance(name, 0.05, 0.0, draw(NUMBERS), 1.0, crossed=False) for name in names),
    )  # fmt: skip
    return Scanned(
        due_us=draw(st.integers(0, 2 * 10**15)),
        seq=draw(st.integers(0, 2**63)),
        state=draw(st.sampled_from(["done", "late", "failed"])),
        reasons=draw(
            st.dictionaries(st.sampled_from([reason.value for reason in Reason]), st.integers(0, 9))
        ),
        signals=tuple(one.signal for one in made if one.signal is not None),
        detail=draw(TEXTS),
        run_id=draw(TEXTS),
        mode=draw(TEXTS),
        latency_ms=draw(st.none() | NUMBERS),
        took_ms=draw(st.none() | NUMBERS),
        decisions=made,
        account=draw(st.none() | st.just(account)),
    )


class Lines(logging.Handler):
    """Keeps what the loop's logger writes, formatted."""

    def __init__(self):
        super().__init__()
        self.formatter = JsonLines("run", SimulatedClock(NOW), Redactor(), emf=True)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


DECLARED = {
    "scan": SCAN_METRICS,
    "decision": DECISION_METRICS,
    "signal": SIGNAL_METRICS,
}


@settings(max_examples=80, deadline=None)
@given(scans())
def test_every_line_the_loop_makes_is_valid_and_leaves_out_only_what_is_no_number(scanned):
    handler, logger = Lines(), logging.getLogger(SCANS)
    logger.addHandler(handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        log_scan(scanned)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    signals = sum(one.signal is not None for one in scanned.decisions)
    assert len(handler.lines) == 1 + len(scanned.decisions) + signals
    for line in handler.lines:
        document, metrics = parsed(line), metrics_of(line, NOW)
        mode = document["mode"]
        usable = mode.strip() and mode.isascii() and mode.isprintable() and len(mode) <= 1024
        for directive in DECLARED[document["event"]]:
            for metric in directive.metrics:
                value = document.get(metric.name)
                is_number = isinstance(value, int | float) and math.isfinite(value) and abs(value) <= 2**360
                if ("mode",) in directive.dimensions:
                    assert ((metric.name, ("mode",)) in metrics) is bool(usable and is_number)
