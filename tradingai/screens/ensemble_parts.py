"""What an ensemble is made of, and whether the agent takes part: for Gates and Models."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.symbols import model_coin
from tradingai.engine.queries.model_snapshot import AgentView, EnsembleView, EvaluationView
from tradingai.widgets import numbers
from tradingai.widgets.line import BLANK, Line, Span, crop, fit, line, pad, wrap
from tradingai.widgets.section import pair, rule

LABEL: Final = 10


def r_a_day(value: float) -> str:
    """``+0.54 R``."""
    return numbers.signed_minus(f"{value:+.2f} R")


def share_words(made: EnsembleView, symbol: str) -> str:
    """``lstm 0.50, transformer 0.50``: the weights that hold for a coin."""
    return ", ".join(f"{kind} {share:.2f}" for kind, share in made.shares.get(symbol, {}).items())


def interval_words(agent: AgentView) -> str:
    """The interval of the daily difference, or how few days there are."""
    if agent.difference is None:
        return f"no interval from {numbers.plural(agent.days, 'day')}"
    low, high = (numbers.signed_minus(f"{bound:+.2f}") for bound in agent.difference)
    return f"[{low}, {high}] over {numbers.plural(agent.days, 'day')}"


def short_lines(item: EvaluationView, symbol: str, width: int) -> list[Line]:
    """Weights of the coin and the agent's part, a row each."""
    made = item.ensemble
    if made is None:
        return []
    lines = [_fact("made of", share_words(made, symbol), width)]
    if made.agent is not None:
        agent = made.agent
        label = "agent in" if agent.joins else "agent out"
        without = r_a_day(agent.daily_r_without).removesuffix(" R")
        words = f"{r_a_day(agent.daily_r_with)} a day with it, {without} without"
        lines.append(_fact(label, f"{words}, {interval_words(agent)}", width))
    return lines


def _fact(label: str, text: str, width: int) -> Line:
    return Line(crop((pad(2), *fit(Span(label, "muted"), LABEL), Span(text)), width))


def made_lines(item: EvaluationView, symbol: str, width: int) -> list[Line]:
    """Every component that speaks of a coin (empty: of any) with its version and its weight there."""
    made = item.ensemble
    if made is None:
        return []
    lines = [rule("Made of", f"{symbol or made.version}, weight", width)]
    for part in made.components:
        coin = model_coin(part.model)
        if symbol and coin not in {"", symbol}:
            continue
        shares = made.shares.get(coin or symbol or next(iter(made.shares), ""), {})
        share = shares.get(part.kind)
        weight = Span("none", "muted") if share is None else Span(f"{share:.2f}")
        gone = f"{part.model} {part.version}" in item.missing
        version = Span(f"{part.version}{', not live' if gone else ''}  ", "orange" if gone else "muted")
        lines.append(pair(part.model, (version, weight), width))
    if item.idle and item.live_version:
        lines += _wrapped(f"{item.live_version} is live and says nothing: {item.idle}.", width)
    return lines


def agent_lines(item: EvaluationView, width: int) -> list[Line]:
    """The ensemble with the agent beside the one without, and what follows."""
    agent = item.ensemble.agent if item.ensemble is not None else None
    if agent is None:
        return []
    verdict = "joins" if agent.joins else "does not join"
    needed = f"needs {agent.required_gain:g} ×, {100 * (1 - agent.alpha):g} % interval above 0"
    return [
        rule("Agent", verdict, width),
        pair("with it, a day", r_a_day(agent.daily_r_with), width),
        pair("without, a day", r_a_day(agent.daily_r_without), width),
        pair("difference", interval_words(agent), width),
        *(_wrapped(agent.reason, width) if agent.reason else []),
        Line((Span(needed, "muted"),)),
    ]


def beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two groups of lines in columns of ``width``."""
    rows = max(len(left), len(right))
    columns = ([*group, *[BLANK] * (rows - len(group))] for group in (left, right))
    return [
        Line((*fit(first_one.spans, width), pad(4), *second.spans))
        for first_one, second in zip(*columns, strict=True)
    ]


def _wrapped(text: str, width: int) -> list[Line]:
    return [line(Span(row, "muted")) for row in wrap(text, width)]
