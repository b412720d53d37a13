"""A replay's document as text: the funnel, the tiers, and how the paper account did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradingai.cli.output import count, duration, moment, percent, table, write_line
from tradingai.engine.core.jsonio import parse_iso

FUNNEL: Final = {
    "no_new_candle": "no new closed candle",
    "stale": "newest candle too old",
    "below_threshold": "confidence below the threshold, or none",
    "killed": "kill switch on",
    "rate_limited": "hourly limit reached",
    "risk_blocked": "blocked by the FTMO guard",
    "position_open": "the coin has a position",
    "emitted": "signal emitted",
}
"""Each reason in words, in the order in which they are asked."""


def show_replay(document: Mapping[str, Any]) -> None:
    """Everything a replay says to a person."""
    start, end = (moment(parse_iso(document[name])) for name in ("start", "end"))
    provider = " and ".join(document.get("providers", ())) or "stored"
    origin = "SYNTHETIC candles" if document["synthetic"] else f"{provider} candles"
    write_line(f"Run {document['run']}: {origin} of {', '.join(document['symbols'])}, {start} to {end}")
    models = ", ".join(f"{model} {version}" for model, version in document["models"].items())
    write_line(f"Models: {models or 'none is promoted: nothing can be emitted'}")
    for model, reason in document["refused"].items():
        write_line(f"Refused: {model}: {reason}")
    write_line()
    show_funnel(document)
    write_line()
    show_tiers(document)
    write_line()
    show_account(document)
    write_line(f"Decisions {document['decisions_sha256']}")
    timing = document["scan_ms"]
    write_line(
        f"{count(document['scans'])} scans in {duration(document['wall_s'])}; "
        f"a scan p50 {timing['p50']:.1f} ms, p99 {timing['p99']:.1f} ms (features in blocks)"
    )


def show_funnel(document: Mapping[str, Any]) -> None:
    """Every decision by its reason; they add up to scans times coins."""
    total = document["decisions"]
    rows = [
        ("scanned", f"{count(document['scans'])} scans × {len(document['symbols'])} coins", count(total), "")
    ]
    rows += [
        (reason, FUNNEL[reason], count(number), percent(number / total if total else None))
        for reason, number in document["by_reason"].items()
    ]
    write_line(table(("decision", "why", "number", "share"), rows, right=("number", "share")))


def show_tiers(document: Mapping[str, Any]) -> None:
    """Every scored decision and every signal by tier."""
    scored = sum(document["by_tier"].values())
    rows = [
        (tier, count(number), percent(number / scored if scored else None),
         count(document["signals_by_tier"][tier]))
        for tier, number in document["by_tier"].items()
    ]  # fmt: skip
    write_line(
        table(("tier", "decisions", "share", "signals"), rows, right=("decisions", "share", "signals"))
    )


def show_account(document: Mapping[str, Any]) -> None:
    """How the paper account did."""
    write_line(
        f"Trades {count(document['trades'])}: win rate {percent(document['win_rate'])}, "
        f"net {document['net_r']:+.2f} R ({money(document['net'])}), "
        f"profit factor {number(document['profit_factor'])}"
    )
    write_line(
        f"Direction right {percent(document['accuracy'])}; "
        f"break-even after costs {percent(document['break_even_accuracy'])}"
    )
    write_line(
        f"Equity {money(document['equity'], sign=False)}, largest drawdown "
        f"{percent(document['max_drawdown'], 2)}, daily Sharpe {number(document['sharpe'])} "
        f"over {document['days']} days"
    )
    halted = document["halted"]
    if halted is not None:
        since = moment(parse_iso(halted["since"]))
        write_line(f"HALTED since {since}: {halted['detail'] or halted['cause']}; it stays so to the end")
    still_open = document["open_positions"]
    if still_open:
        write_line(f"{still_open} position{'s are' if still_open > 1 else ' is'} still open")


def money(value: float, *, sign: bool = True) -> str:
    """``+1,927.68 $``."""
    return f"{value:{'+' if sign else ''},.2f} $"


def number(value: float | None) -> str:
    """Two digits after the point, or a dash."""
    return "–" if value is None else f"{value:.2f}"
