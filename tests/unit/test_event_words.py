"""Events as a line of the Log: what happened in words, with its numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tradingai.engine.core import events
from tradingai.engine.queries.event_words import event_view

NOW = datetime(2025, 11, 12, 12, 4, tzinfo=UTC)
DUE = "2025-11-12T11:48:00.000000Z"


def words(event: events.Event) -> str:
    """The line of an event as the store gives it back."""
    document = event.as_json()
    payload = {name: value for name, value in document.items() if name not in {"type", "level"}}
    return event_view(1, NOW, type(event).__name__, event.level, payload).text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            events.ScanCompleted(
                seq=7, due=DUE, new_candles=3, latency_ms=18.6, reasons={"emitted": 1, "rate_limited": 2}
            ),
            "3 coins, 1 signal, 19 ms",
        ),
        (
            events.ScanCompleted(
                seq=7, due=DUE, new_candles=0, latency_ms=2.0, reasons={"no_new_candle": 3},
                detail="no new closed candle",
            ),
            "3 coins, 0 signals, 2 ms: no new closed candle",
        ),
        (
            events.SignalEmitted(
                key="k", symbol="BNB-USD", side="long", tier="high", confidence=0.79, entry=312.07,
                take_profit=314.95, stop_loss=310.63, mode="dry-run",
            ),
            "BNB-USD LONG high 0.79 entry 312.07",
        ),
        (
            events.PositionClosed(
                key="k", symbol="ETH-USD", side="short", price=2330.7, exit="stop", net=-520.0, r=-1.04,
                at=DUE,
            ),
            "ETH-USD SHORT −1.04 R, stop at 2,330.70",
        ),
        (
            events.ScanLate(due=DUE, late_s=1.2, reason="feed slow"),
            "due 11:48:00, ran 1.2 s late: feed slow",
        ),
        (
            events.ScanOverrun(first_due=DUE, last_due=DUE, missed=1, reason="slow"),
            "1 scan fell out, 11:48:00 to 11:48:00: slow",
        ),
        (
            events.FetchDelayed(symbol="BTC-USD", reason="binance answered 429", retry_in_s=30.2),
            "BTC-USD: binance answered 429; goes on in 30 s",
        ),
        (events.ScanFailed(due=DUE, code="store", reason="disk full"), "due 11:48:00: disk full"),
        (events.ClockJumped(seconds=-3600.0, at=DUE), "back by 3,600 s"),
        (
            events.CandlesRevised(
                symbol="BTC-USD", provider="ccxt binance", count=1, first=DUE, largest_bps=0.53, total=4
            ),
            "BTC-USD: 1 closed candle from 11:48:00 changed by up to 0.5 bps, or late; 4 so far",
        ),
        (
            events.ProviderClockDiffers(provider="ccxt binance", ahead_s=-90.4),
            "this machine's clock is 90 s behind that of ccxt binance",
        ),
        (
            events.ProviderClockDiffers(provider="ccxt binance", ahead_s=0.0),
            "ccxt binance: the clocks agree again",
        ),
        (
            events.FeedFailed(
                symbol="BTC-USD", provider="synthetic", reason="timed out", failures=2, retry_in_s=4.2
            ),
            "BTC-USD, synthetic: timed out; asked again in 4 s",
        ),
        (
            events.EngineStarted(
                run_id="live-1", engine="e", pid=12, feed="f", interval_s=2.0, resumed=True, previous="died"
            ),
            "process 12, a scan every 2 s, goes on with run live-1; the engine before died",
        ),
        (events.ScanLoopChosen(on=True, interval_s=2.0, who="root", surface="cli"), "on, by root, cli"),
        (
            events.AlertDelivered(
                event_id="7f2c", kind="signal", title="BTC-USD LONG", channel="telegram", seconds=0.7,
                repeat=True,
            ),
            "BTC-USD LONG, telegram, 0.7 s, id 7f2c, REPEAT",
        ),
    ],
)  # fmt: skip
def test_what_an_operator_reads(event, text):
    assert words(event) == text


LIVE = (
    "Scan", "Feed", "Engine", "Model", "Position", "Signal", "Rule", "Candles", "Entry", "Price", "Upkeep",
    "Alert", "Metrics", "Observation",
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [kind for kind in events.Event.__subclasses__() if kind.__name__.startswith(LIVE)]
)
def test_events_of_the_loop_are_no_list_of_fields(kind):
    names = [name for name in kind.__dataclass_fields__ if name != "level"]
    values = dict.fromkeys(names)
    listed = event_view(1, NOW, "NobodyKnowsThis", "info", values).text
    assert event_view(1, NOW, kind.__name__, "info", values).text != listed
