"""Lead-lag: what the other coins did by the same minute."""

from __future__ import annotations

from tradingai.engine.core.candles import Floats
from tradingai.engine.features.declaration import Feature
from tradingai.engine.features.primitives import lagged_change
from tradingai.engine.features.window import Window


def peer_momentum(window: Window, *, peer: str, minutes: int) -> Floats:
    """ln(close[t] / close[t - minutes]) of another coin."""
    return window.memo(
        ("peer momentum", peer, minutes), lambda: lagged_change(window.peer_log_close(peer), minutes)
    )


def own_minus_peer(window: Window, *, peer: str, minutes: int) -> Floats:
    """Own momentum minus the other coin's over the same minutes."""
    return window.change("log_close", minutes) - peer_momentum(window, peer=peer, minutes=minutes)


def peer_features(peer: str) -> tuple[Feature, ...]:
    """The lead-lag features of one other coin."""
    return (
        *(
            Feature(
                name=f"lead_{peer}_momentum_{minutes}", group="lead-lag", lookback=minutes,
                compute=peer_momentum, parameters={"peer": peer, "minutes": minutes},
                source=f"ln(close[t] / close[t-{minutes}]) of {peer}",
                meaning=f"log return of {peer} over the last {minutes} min",
            )
            for minutes in (1, 5, 15, 60)
        ),
        Feature(
            name=f"lead_{peer}_gap_15", group="lead-lag", lookback=15, compute=own_minus_peer,
            parameters={"peer": peer, "minutes": 15}, source=f"momentum_15 - momentum_15 of {peer}",
            meaning=f"own log return minus that of {peer} over the last 15 min",
        ),
    )  # fmt: skip
