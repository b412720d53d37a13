"""Planted leaks: features and cleaning that know what they could not have known."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, datetime_to_us
from tradingai.engine.core.symbols import HORIZON_MINUTES, MINUTE_US
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.evaluation.leakage.causality import Market
from tradingai.engine.evaluation.leakage.pipeline import Pipeline, clean_until
from tradingai.engine.features.registry import feature_set
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.quality import Rule
from tradingai.engine.providers.synthetic.market import SyntheticMarket

REAL = Path(__file__).resolve().parents[1] / "data" / "BTC-USDT_1m_2023-03-09_2023-03-12.parquet"
END = datetime_to_us(datetime(2025, 11, 10, 1, 7, tzinfo=UTC)) // MINUTE_US


def synthetic_raw(days=8, seed=3, symbols=("BTC-USD", "ETH-USD")):
    """Raw synthetic candles; the coin itself has three gaps."""
    market = SyntheticMarket("cycles", seed)
    raw = {name: market.candles(name, END - days * 1440 + 1, END) for name in symbols}
    own = raw[symbols[0]]
    keep = np.ones(len(own), dtype=bool)
    for lo, length in ((3_500, 3), (5_000, 40), (7_003, 12)):
        keep[lo : lo + length] = False
    return {**raw, symbols[0]: own[keep]}


def real_raw():
    """Three days of real candles, without peers."""
    frame = pl.read_parquet(REAL)
    columns = {name: frame[name].to_numpy().copy() for name in PRICE_COLUMNS}
    return {"BTC-USD": Candles(ts=frame["ts"].to_physical().to_numpy().copy(), **columns)}


def shifted_label(own: Candles):
    """The label itself, as a feature."""
    return np.where(direction_labels(own.close) < 0, 0.5, direction_labels(own.close))


def centred_average(own: Candles):
    """Close over its average from ten bars before to ten bars after."""
    kernel = np.full(21, 1.0 / 21.0)
    return own.close / np.convolve(np.pad(own.close, 10, mode="edge"), kernel, mode="valid") - 1.0


def global_percentile(own: Candles):
    """The bar's range as a percentile of all bars there are."""
    span = np.log(own.high / own.low)
    return np.searchsorted(np.sort(span), span) / len(span)


def target_encoded_session(own: Candles):
    """The share of rising labels in the bar's session, over all bars there are."""
    labels, session = direction_labels(own.close), own.minute % 1440 // 480
    known = labels >= 0
    share = [
        labels[known & (session == k)].mean() if (known & (session == k)).any() else 0.5 for k in range(3)
    ]
    return np.asarray(share)[session]


def tomorrows_high(own: Candles):
    """The next UTC day's high over the close."""
    days, day = np.unique(own.minute // 1440, return_inverse=True)
    high = np.array([own.high[day == k].max() for k in range(len(days))])
    return np.append(high[1:], high[-1])[day] / own.close - 1.0


def unfinished_hour(own: Candles):
    """The hour's last close, from its first minute on."""
    _, hour = np.unique(own.minute // 60, return_inverse=True)
    last = np.searchsorted(hour, hour, side="right") - 1
    return own.close[last] / own.close - 1.0


COLUMNS = {
    "shifted_label": shifted_label,
    "centred_average": centred_average,
    "global_percentile": global_percentile,
    "target_encoded_session": target_encoded_session,
    "tomorrows_high": tomorrows_high,
    "unfinished_hour": unfinished_hour,
}


def backward_filling(raw: Candles, until: int) -> Candles:
    """Cleaning that fills a gap with the next bar's open, where there is one."""
    cleaned = clean(raw, until=until)
    filled = (cleaned.flags & int(Rule.FILLED)) > 0
    candles = cleaned.candles
    n = len(candles)
    following = np.minimum.accumulate(np.where(filled, n, np.arange(n))[::-1])[::-1]
    known = filled & (following < n)
    price = np.where(known, candles.open[np.minimum(following, n - 1)], candles.close)
    columns = {
        name: np.where(known, price, getattr(candles, name)) for name in ("open", "high", "low", "close")
    }
    return Candles(ts=candles.ts, volume=candles.volume, **columns)


def pipeline(symbol, peers, planted=(), cleaner=clean_until):
    """The product's features with planted ones beside them."""
    clean_pipeline = Pipeline.of(feature_set(symbol, tuple(peers)))

    def features(own: Candles, others: Mapping[str, Candles]):
        columns = [COLUMNS[name](own) for name in planted]
        return np.column_stack([clean_pipeline.features(own, others), *columns])

    return Pipeline((*clean_pipeline.names, *planted), clean_pipeline.lookback, features, cleaner)


def market(raw, made_by: Pipeline):
    """What is stored when ``made_by`` cleaned and computed everything."""
    symbol = next(iter(raw))
    end = int(max(series.ts[-1] for series in raw.values()))
    candles = {name: made_by.cleaner(series, end) for name, series in raw.items()}
    filled = {name: ~np.isin(candles[name].ts, series.ts) for name, series in raw.items()}
    others = {name: series for name, series in candles.items() if name != symbol}
    values = np.asarray(made_by.features(candles[symbol], others), dtype=np.float32)
    known = values[made_by.lookback : -HORIZON_MINUTES]
    deviation = np.nanstd(known, axis=0, dtype=np.float64)
    return Market(symbol, candles, filled, values, np.where(deviation > 0, deviation, 1.0))
