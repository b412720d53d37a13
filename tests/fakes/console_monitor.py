"""The scan loop of the story: three coins, a signal a few seconds ago, two open positions."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from tradingai.engine.queries.run_snapshot import (
    Bar,
    CoinNow,
    FunnelView,
    LatencyView,
    LoopView,
    MonitorView,
    RateView,
    SignalView,
    WatchedRun,
)
from tradingai.engine.queries.snapshot import LiveView

from tests.fakes import console_risk
from tests.fakes.console_home import at

SCAN = at("12:04:00")
VERSIONS = {"lstm_BTC-USD": "v1.0.0", "transformer": "v1.0.0", "ppo": "v1.0.0"}
LOOP = LoopView(state="scanning", chosen=True, interval_s=120.0, pid=4711)
RUN = WatchedRun(
    console_risk.RUN, "live", "open", console_risk.OPENED, now=SCAN, scans=1_622,
    first_at=console_risk.OPENED, models=VERSIONS,
)  # fmt: skip
LIVE = LiveView(
    run=RUN.run, pid=4711, state="scanning", beat_at=at("12:04:10"), scans=1_622, next_due=at("12:06:00"),
    scan_at=SCAN, scan_state="done", latency_ms=19.0, guard="ACTIVE", feed_at=SCAN,
)  # fmt: skip


def coin(
    symbol: str, price: float, change: float, p_up: float, tier: str, reason: str, detail: str
) -> CoinNow:
    """One coin at the newest scan; three models that nearly agree."""
    lstm = f"lstm_{symbol}"
    outputs = {lstm: min(0.99, p_up + 0.02), "transformer": p_up, "ppo": max(0.01, p_up - 0.05)}
    return CoinNow(
        symbol, SCAN, price, SCAN, change, p_up, max(p_up, 1 - p_up),
        "long" if p_up >= 0.5 else "short", tier, reason, detail, 0.75, at("12:03:00"), 1.0, outputs=outputs,
        weights={lstm: 0.35, "transformer": 0.40, "ppo": 0.25},
        versions=dict.fromkeys((lstm, "transformer", "ppo", "ensemble"), "v1.0.0"),
        input_sha256="74b81052" * 8,
        features_sha256="c7732236" * 8, candles=2, scan=1_622,
        signal_key=f"{symbol}@2025-11-12T12:03:00Z" if reason == "emitted" else "",
    )  # fmt: skip


COINS = (
    coin("BTC-USD", 41_932.70, 0.0021, 0.84, "high", "position_open", "one position a coin"),
    coin("ETH-USD", 2_318.44, -0.0008, 0.29, "medium", "below_threshold", "0.7100 below 0.75"),
    coin("BNB-USD", 312.07, 0.0002, 0.79, "high", "emitted", ""),
)


def signal(
    when: str, symbol: str, side: str, confidence: float, prices: tuple[float, float, float], state: str,
    r: float | None, latency: float,
) -> SignalView:  # fmt: skip
    """One signal; prices are entry, target, stop."""
    moment = at(when)
    candle = moment - timedelta(minutes=1)
    return SignalView(
        f"{symbol}@{candle:%Y-%m-%dT%H:%M:%SZ}", moment, symbol, side, "high", confidence, *prices, 2.0, 12.0,
        3.0, latency, state, r,
    )  # fmt: skip


SIGNALS = (
    signal("12:04:00", "BNB-USD", "long", 0.79, (312.07, 314.95, 310.63), "waiting", None, 19),
    signal("11:56:00", "BTC-USD", "long", 0.87, (41_873.2, 42_257.2, 41_681.2), "open", 0.31, 18),
    signal("11:40:00", "ETH-USD", "short", 0.82, (2_319.90, 2_298.30, 2_330.70), "stop", -1.04, 19),
    signal("11:26:00", "BTC-USD", "long", 0.91, (41_702.8, 42_080.4, 41_514.0), "time", 0.58, 21),
    signal("11:12:00", "BNB-USD", "short", 0.84, (312.94, 310.06, 314.38), "time", 0.47, 18),
    signal("11:02:00", "ETH-USD", "long", 0.77, (2_311.06, 2_332.50, 2_300.34), "target", 1.83, 18),
    signal("10:54:00", "BTC-USD", "short", 0.80, (41_811.5, 41_431.9, 42_001.3), "cancelled", None, 20),
)
BY_REASON = {
    "no_new_candle": 3, "below_threshold": 846, "rate_limited": 1_180, "position_open": 19, "emitted": 112,
}  # fmt: skip


def prices(last: float, until: datetime = SCAN, minutes: int = 400) -> tuple[Bar, ...]:
    """Minutes that end at a price, from a closed form."""
    points = []
    for index in range(minutes):
        left = minutes - 1 - index

        def price(step: float) -> float:
            return last * (1 + 0.004 * math.sin(step / 23) + 0.0009 * math.sin(step / 5.3))

        opened, close = price(left + 1), price(left)
        reach = last * 0.0003 * (1 + math.sin(index * 1.7) ** 2)
        moment = until - timedelta(minutes=left + 1)
        points.append(Bar(moment, opened, max(opened, close) + reach, min(opened, close) - reach, close))
    return tuple(points)


def scanning() -> MonitorView:
    """BNB-USD LONG was emitted 17 seconds ago."""
    position = next(one for one in console_risk.active().facts.positions if one.symbol == "BTC-USD")
    return MonitorView(
        run=RUN,
        coins=COINS,
        funnel=FunnelView(24.0, 720, 2_160, BY_REASON),
        signals=SIGNALS,
        signals_in_window=112,
        closed=110,
        win_rate=0.554,
        net_r=4.91,
        tiers={"low": 324, "medium": 389, "high": 1_231, "none": 213},
        rates=RateView(5, 10, 5, 5, 60, None, at("12:12:00")),
        latency=LatencyView(
            19.0, 19.0, 44.0, 500.0, 720, 1, 0, tuple(18 + 4 * (index % 7 == 0) for index in range(64))
        ),
        prices={"BTC-USD": prices(41_932.70)},
        positions=(position,),
        last_scan_at=SCAN,
        last_scan_state="done",
        next_due=at("12:06:00"),
        interval_s=120.0,
        hysteresis=0.02,
        guard="ACTIVE",
        guard_since=console_risk.OPENED,
        replays=True,
    )


def replayed() -> MonitorView:
    """A replay of 72 hours under way."""
    run = replace(console_risk.replayed().run, models=VERSIONS)
    now = run.now or SCAN
    shift = now - SCAN
    coins = tuple(
        replace(one, at=now, price_at=now, candle=now - timedelta(minutes=1), scan=1_238) for one in COINS
    )
    signals = tuple(replace(one, at=one.at + shift) for one in SIGNALS)
    return replace(
        scanning(),
        run=run,
        coins=coins,
        signals=signals,
        funnel=FunnelView(
            None, 1_238, 3_714, {"below_threshold": 1_453, "rate_limited": 2_029, "emitted": 232}
        ),
        signals_in_window=232,
        rates=RateView(5, 10, 5, 5, 60, None, now + timedelta(minutes=8)),
        prices={"BTC-USD": prices(41_932.70, now)},
        positions=(),
        last_scan_at=now,
        next_due=None,
        latency=LatencyView(2.1, 2.0, 10.2, 500.0, 1_238, 0, 0, (2.0, 2.2, 2.1)),
    )


def halted() -> MonitorView:
    """As Risk says: halted 22 minutes ago; the engine elsewhere is late."""
    stopped = tuple(
        replace(one, reason="risk_blocked", detail="HALTED: equity not a number", signal_key="")
        for one in COINS
    )
    return replace(
        scanning(),
        coins=stopped,
        positions=(),
        signals=tuple(replace(one, state="halt", r=-0.18) for one in SIGNALS[1:]),
        guard="HALTED",
        guard_since=at("11:42:10"),
        guard_detail="equity not a number",
    )
