"""The evidence as Markdown: what the table of product.md section 2 requires, and every row behind it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradingai.engine.evaluation.intervals import attempt_alpha

BEGIN: Final = "<!-- evidence:begin -->"
END: Final = "<!-- evidence:end -->"
CLOCK_LIMIT: Final = 0.53
COMMAND: Final = "make evidence-markets"

READING: Final = (
    "LSTM, oracle and momentum: mean over the models (lowest … highest), on the test range. The required "
    "bands are whole per cent, and compared as such: 78.1 is 78."
)
SAME: Final = 1e-6
"""Numbers of a repeated run may differ by this much: sums end in other last bits on another processor."""

Coin = dict[str, Any]


@dataclass(frozen=True)
class Demand:
    """What must come out of one market, in ``words``, and what is wrong with a coin that does not."""

    words: str
    faults: Callable[[Coin], list[str]]


def _faults(*checks: tuple[bool, str]) -> list[str]:
    return [words for holds, words in checks if not holds]


def cycles(coin: Coin) -> list[str]:
    """Learnable and learned."""
    return _faults(
        (0.78 <= round(coin["oracle"], 2) <= 0.80, f"oracle {coin['oracle']:.1%}"),
        (0.73 <= round(coin["accuracy"], 2) <= 0.78, f"LSTM {coin['accuracy']:.1%}"),
        (coin["promotion"] == "promoted", "refused by " + ", ".join(coin["refused_by"])),
    )


def null(coin: Coin) -> list[str]:
    """Nothing there."""
    return _faults(
        (abs(coin["accuracy"] - 0.5) <= 0.03, f"LSTM {coin['accuracy']:.1%} is not 50 %"),
        (coin["promotion"] == "refused", "promoted"),
    )


def weak(coin: Coin) -> list[str]:
    """Better than a coin flip, hardly better than the naive rule, and refused for it."""
    momentum = coin["baselines"]["momentum"]
    return _faults(
        (0.54 <= round(coin["oracle"], 2) <= 0.57, f"oracle {coin['oracle']:.1%}"),
        (coin["accuracy"] > 0.5, f"LSTM {coin['accuracy']:.1%} does not beat 50 %"),
        (coin["accuracy"] - momentum < 0.02, f"beats momentum by {coin['accuracy'] - momentum:.1%}"),
        (coin["promotion"] == "refused", "promoted"),
        ("accuracy" in coin["refused_by"], "accuracy did not refuse"),
        ("significance" in coin["refused_by"], "significance did not refuse"),
    )


def drift(coin: Coin) -> list[str]:
    """Validation looks good, the test range does not."""
    return _faults(
        (coin["validation_accuracy"] > 0.7, f"validation only {coin['validation_accuracy']:.1%}"),
        (coin["accuracy"] < 0.6, f"test {coin['accuracy']:.1%}"),
        (coin["promotion"] == "refused", "promoted"),
    )


DEMANDS: Final[dict[str, Demand]] = {
    "cycles": Demand("oracle 78–80 %, LSTM 73–78 %, every coin promoted", cycles),
    "null": Demand("LSTM at 50 %, nothing promoted", null),
    "weak": Demand(
        "oracle 54–57 %, LSTM above 50 %, hardly above momentum; accuracy and significance refuse",
        weak,
    ),
    "drift": Demand("validation good, test not, refused", drift),
}


def misses(found: dict[str, Any]) -> list[str]:
    """Every row that does not do what its market requires, with the reason."""
    wrong = [
        f"{item['market']} seed {item['seed']} {coin['symbol']}: {', '.join(faults)}"
        for item in found["quick"]
        for coin in item["coins"]
        if (faults := DEMANDS[item["market"]].faults(coin))
    ]
    return wrong + clock_misses(found)


def clock_misses(found: dict[str, Any]) -> list[str]:
    """Where the clock alone tells more than it may."""
    return [
        f"the clock alone ({name}) on {where}: {value:.1%}"
        for where, name, value in _clock_values(found)
        if value > CLOCK_LIMIT
    ]


def _clock_values(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    """What must stay at or below the limit: the harmonics on 120 days, both models on the full range."""
    quick = [
        (f"{item['market']} seed {item['seed']} {coin['symbol']}", "harmonics", coin["clock"]["harmonics"])
        for item in found["quick"]
        for coin in item["coins"]
    ]
    full = [
        (f"{item['market']} seed {item['seed']} {symbol}, full range", name, value)
        for item in found["clock_full_range"]
        for symbol, values in item["coins"].items()
        for name, value in values.items()
    ]
    return quick + full


def outside(found: dict[str, Any]) -> list[str]:
    """Every model that is not as required: what is wrong, and how far out it is among its market's models."""
    told = []
    for item in found["quick"]:
        market = _coins(found, item["market"])
        for coin in item["coins"]:
            faults = DEMANDS[item["market"]].faults(coin)
            if faults:
                where = f"`{item['market']}` seed {item['seed']} {coin['symbol']}: {', '.join(faults)}."
                told.append(
                    " ".join([where, *_oracle_far(coin, market, faults), *_edge(coin, market, faults)])
                )
    return told


def _coins(found: dict[str, Any], market: str) -> list[Coin]:
    return [coin for item in found["quick"] if item["market"] == market for coin in item["coins"]]


def _oracle_far(coin: Coin, market: Sequence[Coin], faults: Sequence[str]) -> list[str]:
    """Where an oracle outside its band stands among the others."""
    oracles = [other["oracle"] for other in market]
    if len(oracles) < 3 or not any(fault.startswith("oracle") for fault in faults):
        return []
    mean, deviation = statistics.mean(oracles), statistics.stdev(oracles)
    words = (
        f"The {len(oracles)} oracles have a mean of {100 * mean:.1f} % and a standard deviation of "
        f"{100 * deviation:.1f}; this one is {(coin['oracle'] - mean) / deviation:+.1f} deviations from it: "
        "chance, from one seed's 18 test days to another's."
    )
    return [words]


def _edge(coin: Coin, market: Sequence[Coin], faults: Sequence[str]) -> list[str]:
    """By how much a model was significant that should not have been, and how often chance does that."""
    if "significance did not refuse" not in faults:
        return []
    name, (lo, hi) = min(coin["differences"].items(), key=lambda pair: pair[1][0])
    alpha = attempt_alpha(1)
    chance = 1.0 - (1.0 - alpha / 2.0) ** len(market)
    others = ", ".join(coin["refused_by"])
    words = (
        f"The paired interval against {name} is {100 * lo:+.2f} to {100 * hi:+.2f} points, at α {alpha:.4f}: "
        f"of {len(market)} independent models without an edge at least one is above zero with a chance of "
        f"{chance:.0%}."
    )
    return [words, f"It was refused all the same, by {others}." if others else "No other gate refused it."]


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Every number and verdict of a run's models that is not the same in its repetition."""
    return [
        f"{old['symbol']} {name}: {new.get(name)!r} instead of {value!r}"
        for old, new in zip(before["coins"], after["coins"], strict=True)
        for name, value in old.items()
        if name != "artifact_sha256" and not _same(value, new.get(name))
    ]


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, float) and isinstance(after, int | float):
        return abs(before - after) <= SAME
    return bool(before == after)


def repeated(found: dict[str, Any]) -> str:
    """What came out when part of the evidence was run again; empty when it was not."""
    runs = found.get("repeated", [])
    if not runs:
        return ""
    named = ", ".join(f"`{item['market']}` seed {item['seed']}" for item in runs)
    codes = ", ".join(f"`{code}`" for code in sorted({item["code"] for item in runs}))
    models = sum(item["models"] for item in runs)
    told = f"Run again with deciding code {codes}: {named}, {models} models. "
    wrong = [f"- {item['market']} {item['seed']} {line}" for item in runs for line in item["differences"]]
    if wrong:
        return told + "Not the same:\n\n" + "\n".join(wrong)
    return f"{told}Every number came out the same to {SAME:g}, and every gate's verdict."


def as_required(found: dict[str, Any]) -> bool:
    """Whether every run is there and every row behaves."""
    return len(found["quick"]) == found["wanted"] and not misses(found)


def verdict_table(found: dict[str, Any]) -> str:
    """One line a market."""
    rows = [("market", "required", "models", "LSTM", "oracle", "momentum", "promoted", "as required")]
    for market, demand in DEMANDS.items():
        coins = _coins(found, market)
        if coins:
            good = sum(not demand.faults(coin) for coin in coins)
            promoted = sum(coin["promotion"] == "promoted" for coin in coins)
            rows.append(
                (f"`{market}`", demand.words, str(len(coins)), _span(coins, lambda c: c["accuracy"]),
                 _span(coins, lambda c: c["oracle"]), _span(coins, lambda c: c["baselines"]["momentum"]),
                 f"{promoted}", f"{good} of {len(coins)}")
            )  # fmt: skip
    return markdown(rows)


def _span(coins: Sequence[Coin], value: Callable[[Coin], float]) -> str:
    values = [value(coin) for coin in coins]
    mean = sum(values) / len(values)
    return f"{100 * mean:.1f} % ({100 * min(values):.1f} … {100 * max(values):.1f})"


def full_table(found: dict[str, Any]) -> str:
    """Every model of every market and seed."""
    rows = [
        ("market", "seed", "coin", "LSTM [95 %]", "validation", "oracle", "majority", "momentum", "clock",
         "refused by", "promoted")
    ]  # fmt: skip
    for item in found["quick"]:
        for coin in item["coins"]:
            lo, hi = coin["accuracy_ci"]
            rows.append(
                (f"`{item['market']}`", str(item["seed"]), coin["symbol"][:3],
                 f"{100 * coin['accuracy']:.1f} [{100 * lo:.1f}, {100 * hi:.1f}]",
                 f"{100 * coin['validation_accuracy']:.1f}", f"{100 * coin['oracle']:.1f}",
                 f"{100 * coin['baselines']['majority']:.1f}", f"{100 * coin['baselines']['momentum']:.1f}",
                 f"{100 * coin['clock']['harmonics']:.1f}", ", ".join(coin["refused_by"]) or "–",
                 "yes" if coin["promotion"] == "promoted" else "no")
            )  # fmt: skip
    return markdown(rows)


def clock_table(found: dict[str, Any]) -> str:
    """The clock alone over the full range."""
    rows = [("seed", "coin", "harmonics", "quarter hours of the week")]
    for item in found["clock_full_range"]:
        for symbol, values in item["coins"].items():
            shares = (f"{100 * values[name]:.1f}" for name in ("harmonics", "slots"))
            rows.append((str(item["seed"]), symbol[:3], *shares))
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table with its first row as header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def section(found: dict[str, Any]) -> str:
    """Everything between the markers."""
    models = sum(len(item["coins"]) for item in found["quick"])
    wrong = [*outside(found), *clock_misses(found)]
    told = "None."
    if wrong:
        listed = "\n".join(f"- {line}" for line in wrong)
        told = f"{len(wrong)} of {models}; they stay as they came, no seed was exchanged.\n\n{listed}"
    codes = ", ".join(f"`{code}`" for code in found["codes"])
    measured = f"{len(found['quick'])} of {found['wanted']} runs"
    limit = f"Test range of 321 days, where chance is under one point; at most {CLOCK_LIMIT:.0%} is required."
    slots = [coin["clock"]["slots"] for item in found["quick"] for coin in item["coins"]]
    parts = [
        f"Made by `{COMMAND}`: {measured}; deciding code {codes}.",
        *filter(None, [repeated(found)]),
        verdict_table(found),
        READING,
        "### Models outside what is required\n\n" + told,
        "### Every model\n\nPer cent. The clock is the harmonics model on the same test bars.",
        full_table(found),
        f"### The clock alone, `cycles`, full range\n\n{limit}",
        clock_table(found),
    ]
    if slots:
        parts.append(
            f"On the 18 test days of the quick workload the quarter hours scatter from {min(slots):.1%} to "
            f"{max(slots):.1%} (mean {sum(slots) / len(slots):.1%}): chance, as the full range shows: "
            "a day's two-hour cycles are right or wrong together."
        )
    return "\n\n".join(parts)


def publish(document: Path, found: dict[str, Any]) -> None:
    """Replace what stands between the markers. Raises ValueError for a document without them."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n{section(found)}\n{END}{after}")
