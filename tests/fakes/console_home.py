"""The home of the stories: its coins, candles and features, and the empty home."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tradingai.engine.queries.observation_views import NO_OBSERVATION
from tradingai.engine.queries.run_snapshot import Bar
from tradingai.engine.queries.snapshot import (
    CandleTail,
    ConsoleSnapshot,
    DatasetView,
    FeatureBuildView,
    FeatureView,
    HeaderView,
    PhaseView,
    SystemView,
)

NOW = datetime(2025, 11, 12, 12, 4, 17, tzinfo=UTC)
COINS = ("BTC-USD", "ETH-USD", "BNB-USD")
MODELS = tuple(f"lstm_{coin}" for coin in COINS)
ROWS = 3_081_668
SHA = {
    "BTC-USD": "9f3c71ab2e08" + "0" * 52,
    "ETH-USD": "44d0b7e1c9a2" + "0" * 52,
    "BNB-USD": "c07be51f3d66" + "0" * 52,
}
FEATURES_SHA = "7d10aa94" + "0" * 56
ARTIFACTS = {
    "lstm_BTC-USD": "1f9b03c8" + "1" * 56,
    "lstm_ETH-USD": "c09e11d477b0" + "1" * 52,
    "lstm_BNB-USD": "b41e90d755c2" + "1" * 52,
}
QUALITY = {
    "rows_in": ROWS,
    "rows_out": ROWS,
    "out_of_order": 0,
    "duplicates": 0,
    "conflicting_duplicates": 0,
    "non_finite": 0,
    "non_positive": 0,
    "volume_repaired": 0,
    "ohlc_repaired": 0,
    "leading_dropped": 0,
    "gaps": 0,
    "filled": 0,
    "longest_gap": 0,
    "longest_gap_at": None,
    "outliers": 0,
    "stale_runs": 0,
    "stale_bars": 0,
    "zero_volume": 0,
    "empty": 0,
    "share_filled": 0.0,
    "share_empty": 0.0,
}

HEADER = HeaderView(engine="here", heartbeat_age_s=1.0, kill_on=False, threshold=0.75, threshold_source="env")
SYSTEM = SystemView(1.8, 2, 1_900_000_000, 8_000_000_000, 41_000_000_000, 64_000_000_000, 38_000_000, 7_440.0)


def at(text: str, day: int = 12) -> datetime:
    """A time of the story's day."""
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return datetime(2025, 11, day, hours, minutes, seconds, tzinfo=UTC)


LATER = (
    PhaseView("replay", "Replay 72 h", "waiting", key="r", screen="monitor"),
    PhaseView("observation", "Observation", "waiting", key="o", screen="observation"),
    PhaseView("go_no_go", "GO / NO-GO", "waiting", key="a", screen="observation"),
)
OBSERVED = (
    PhaseView(
        "replay", "Replay 72 h", "done", "6,480 decisions, 341 signals", 48.6, key="r", screen="monitor"
    ),
    PhaseView(
        "observation", "Observation", "running", "of 72:00 h, GO not before Thu 06:00Z", 194_645.0,
        key="o", screen="observation",
    ),
    PhaseView(
        "go_no_go", "GO / NO-GO", "waiting", "18 h of runtime, operator approval",
        key="a", screen="observation",
    ),
)  # fmt: skip


def empty() -> ConsoleSnapshot:
    """A home in which nothing ever ran."""
    phases = (
        PhaseView("candles", "Candles", "next", "about 2 s", key="c", screen="data"),
        PhaseView("features", "Features", "waiting", key="b", screen="features"),
        PhaseView("training", "Training", "waiting", key="t", screen="training"),
        PhaseView("evaluation", "Evaluation", "waiting", key="v", screen="gates"),
        PhaseView("gates", "Gates", "waiting", key="v", screen="gates"),
        PhaseView("promotion", "Promotion", "waiting", key="p", screen="models"),
        *LATER,
    )
    return ConsoleSnapshot(
        now=NOW,
        home="/home/operator/tradingai",
        header=HEADER,
        phases=phases,
        models=MODELS,
        observation=NO_OBSERVATION,
        paper_balance=200_000.0,
        system=replace(SYSTEM, cpu_used=0.0, database_bytes=57_000, up_s=8.0),
    )


def datasets() -> tuple[DatasetView, ...]:
    """Three coins, two outliers."""
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
    return tuple(
        DatasetView(
            coin,
            "synthetic",
            ROWS,
            start,
            end,
            SHA[coin],
            "cycles",
            7,
            "1",
            148_000_000,
            6,
            at("09:12:03"),
            synthetic=True,
            quality=QUALITY | ({"outliers": 2} if coin == "BNB-USD" else {}),
        )
        for coin in COINS
    )


def candles(coin: str) -> CandleTail:
    """Smooth prices that end at the newest candle, from a closed form."""
    scale = {"BTC-USD": 42_000.0, "ETH-USD": 2_318.0, "BNB-USD": 312.0}[coin]
    end = datetime(2025, 11, 10, 1, 0, tzinfo=UTC)

    def price(step: float) -> float:
        wave = math.sin(step / 9) * 0.004 + math.sin(step / 3.7) * 0.0018 + math.cos(step / 1.9) * 0.0007
        return scale * (1 + wave)

    bars = []
    for index in range(160):
        opened, close = price(index), price(index + 1)
        reach = scale * 0.0009 * (1 + math.sin(index * 1.7) ** 2)
        bars.append(
            Bar(
                end - timedelta(minutes=15 * (159 - index)),
                opened,
                max(opened, close) + reach,
                min(opened, close) - reach,
                close,
            )
        )
    return CandleTail(coin, 15, tuple(bars))


def feature_columns() -> tuple[FeatureView, ...]:
    """Some of the declared features, with drift."""
    rows = (
        ("rv_1440", "volatility", 1440, 0.00079, 0.13),
        ("vol_regime_high", "regime", 2880, 1.0, 0.11),
        ("rv_60", "volatility", 60, 0.00081, 0.09),
        ("volume_z_60", "volume", 60, -0.42, 0.05),
        ("sma_ratio_50", "trend", 50, 1.0021, 0.04),
        ("macd_hist_12_26_9", "momentum", 35, 12.8, 0.03),
        ("tf_1h_rsi_14", "1h", 840, 55.1, 0.03),
        ("rsi_14", "momentum", 14, 61.24, 0.02),
        ("bb_pct_b_20_2", "bands", 20, 0.71, 0.02),
        ("lead_btc_mom_5", "lead-lag", 5, 0.0006, 0.02),
        ("session_london", "session", 0, 1.0, 0.0),
    )
    result = []
    for order, (name, group, lookback, value, drift) in enumerate(rows):
        step = group in {"regime", "session"}
        recent = tuple(
            (float(minute >= 30) if step else value * (1 + 0.1 * math.sin(minute / (4 + order))))
            for minute in range(60)
        )
        shares = tuple(round(math.exp(-((index - 9.5) ** 2) / 18), 4) for index in range(20))
        total = sum(shares)
        result.append(
            FeatureView(
                name,
                group,
                lookback,
                "Wilder 1978, chapter VI" if "rsi" in name else "as TA-Lib",
                recent,
                value,
                drift,
                tuple(share / total for share in shares),
                value * 0.5,
                value * 1.5,
            )
        )
    return tuple(result)


def builds() -> tuple[FeatureBuildView, ...]:
    """Three matrices."""
    return tuple(
        FeatureBuildView(
            coin, ROWS, 52, at("09:12:30"), 5.0, 612_000.0, 1_400_000_000, FEATURES_SHA, FEATURES_SHA
        )
        for coin in COINS
    )
