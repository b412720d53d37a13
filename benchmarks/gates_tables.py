"""The calibration of the gates as Markdown and plots, between its marks in docs/evidence.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scipy.stats import beta
from tradingai.engine.core.report import GATE_IDS

from evidence_tables import markdown
from gates_plots import Point, bars, curves

BEGIN: Final = "<!-- gates:begin -->"
END: Final = "<!-- gates:end -->"
COMMAND: Final = "make evidence"
JUDGED_DAYS: Final = 18
"""Days of the ranges of which coverage is required: the quick workload's test range."""
COVERAGE_BAND: Final = (0.93, 0.97)
NULL_MARKETS: Final = 200
CYCLES_MARKETS: Final = 50
RANGES: Final = 2_000
CONTROL: Final = "innocent"
POWER_PLOT: Final = "evidence-power.svg"
COVERAGE_PLOT: Final = "evidence-coverage.svg"

Found = Mapping[str, Any]
Market = Mapping[str, Any]


def clopper_pearson(passed: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """The exact interval of a share, of ``passed`` among ``n`` ≥ 1 independent trials.

    Source: Clopper and Pearson (1934). Raises ValueError for counts that are none.
    """
    if not 0 <= passed <= n or n < 1:
        raise ValueError(f"{passed} of {n} is no share")
    lo = 0.0 if passed == 0 else float(beta.ppf(alpha / 2.0, passed, n - passed + 1))
    hi = 1.0 if passed == n else float(beta.ppf(1.0 - alpha / 2.0, passed + 1, n - passed))
    return lo, hi


def share(passed: int, n: int, digits: int = 1) -> str:
    """``3 of 200: 1.5 % [0.3, 4.3]``."""
    if not n:
        return "not run"
    lo, hi = clopper_pearson(passed, n)
    return (
        f"{passed:,} of {n:,}: {100 * passed / n:.{digits}f} % [{100 * lo:.{digits}f}, {100 * hi:.{digits}f}]"
    )


def gate_table(markets: Sequence[Market], columns: Mapping[str, str]) -> str:
    """Gate by gate how many markets passed; ``columns`` maps a heading to the verdicts' name."""
    n, keys = len(markets), tuple(columns.values())
    rows = [
        (gate, *(share(sum(market[key][gate] for market in markets), n) for key in keys)) for gate in GATE_IDS
    ]
    together = (share(sum(all(market[key].values()) for market in markets), n) for key in keys)
    return markdown([("gate", *columns), *rows, ("all five", *together)])


def refusals(markets: Iterable[Market]) -> str:
    """Which gates refused together, most frequent first."""
    counted = Counter(
        ", ".join(gate for gate in GATE_IDS if not market["gates"][gate]) or "none: it passed"
        for market in markets
    )
    return markdown([("refused by", "markets"), *((gates, str(n)) for gates, n in counted.most_common())])


def power_groups(markets: Iterable[Market]) -> dict[tuple[int, float], list[Market]]:
    """(days of the market, share of the amplitude) to its markets, in order."""
    groups: dict[tuple[int, float], list[Market]] = {}
    for market in markets:
        groups.setdefault((market["days"], market["scale"]), []).append(market)
    return dict(sorted(groups.items()))


def power_table(markets: Iterable[Market]) -> str:
    """Share of markets that pass, by amplitude and length of the test range."""
    heads = ("test days", "amplitude, bps", "markets", "oracle", "LSTM", "all five pass", *GATE_IDS)
    rows: list[Sequence[str]] = [heads]
    for (_, scale), group in power_groups(markets).items():
        means = [100 * sum(m[name] for m in group) / len(group) for name in ("oracle", "accuracy")]
        passed = sum(all(m["gates"].values()) for m in group)
        each = [str(sum(m["gates"][gate] for m in group)) for gate in GATE_IDS]
        rows.append(
            (str(group[0]["test_days"]), f"{45 * scale:.4g}", str(len(group)), *(f"{m:.1f}" for m in means),
             share(passed, len(group), 0), *each)
        )  # fmt: skip
    return markdown(rows)


def coverage_table(counted: Iterable[Found]) -> str:
    """How often the interval held the truth."""
    rows: list[Sequence[str]] = [
        (
            "market",
            "days a range",
            "ranges",
            "truth",
            "holds it",
            "all below",
            "all above",
            "half width",
            "variance: actual over estimated",
            "by first weekday, lowest to highest",
        )
    ]
    rows += [
        (f"`{item['market']}`", str(item["days"]), f"{item['ranges']:,}", f"{100 * item['truth']:.2f}",
         share(item["held"], item["ranges"]), f"{item['below']:,}", f"{item['above']:,}",
         f"±{100 * item['half_width']:.2f}", f"{item['variance']:.2f}",
         _spread(item["weekdays"]))
        for item in counted
    ]  # fmt: skip
    return markdown(rows)


def _spread(shares: Sequence[float]) -> str:
    """The lowest and the highest of those that there are, per cent."""
    there = [100 * value for value in shares if value]
    return f"{min(there):.2f} to {max(there):.2f}"


def frozen_gates_table(counted: Iterable[Found]) -> str:
    """What each gate but leakage says of the frozen model's ranges."""
    gates = [gate for gate in GATE_IDS if gate != "leakage"]
    heads = ("market", "days a range", *(f"{gate} passes" for gate in gates))
    rows: list[Sequence[str]] = [heads]
    for item in counted:
        passed = [share(item["gates"][gate], item["ranges"]) for gate in gates]
        rows.append((f"`{item['market']}`", str(item["days"]), *passed))
    return markdown(rows)


def leak_table(rows_found: Sequence[Found]) -> str:
    """Leak by leak: caught at full strength by which checks, and the weakest strength always caught."""
    rows: list[Sequence[str]] = [
        ("leak", "kind", "caught at full strength", "by", "always caught down to", "weaker: caught")
    ]
    groups: dict[tuple[str, str], list[Found]] = {}
    for item in rows_found:
        if item["leak"] != CONTROL:
            groups.setdefault((item["leak"], item["kind"]), []).append(item)
    for (leak, kind), group in groups.items():
        ordered = sorted(group, key=lambda item: -item["strength"])
        weakest = weakest_caught(ordered)
        full, after = ordered[0], ordered[0 if weakest is None else ordered.index(weakest) + 1 :]
        by = ", ".join(
            check if caught == full["units"] else f"{check} ({caught} of {full['units']})"
            for check, caught in full["checks"].items()
            if caught
        )
        weaker = "; ".join(f"{_strength(item)}: {item['caught']} of {item['units']}" for item in after)
        rows.append(
            (leak, kind, f"{full['caught']} of {full['units']}", by or "–",
             "–" if weakest is None else _strength(weakest), weaker or "nothing weaker was tried")
        )  # fmt: skip
    return markdown(rows)


def weakest_caught(ordered: Sequence[Found]) -> Found | None:
    """The last of the strengths, strongest first, before one that was missed in any unit."""
    weakest = None
    for item in ordered:
        if item["caught"] < item["units"]:
            break
        weakest = item
    return weakest


def _strength(item: Found) -> str:
    if item["kind"] == "rows":
        return f"{item['strength']:,.0f} row{'' if item['strength'] == 1 else 's'}"
    return f"{item['strength']:g}"


def _null(found: Found) -> tuple[int, int, str, bool]:
    markets = found["null"]["results"]
    good = not any("promoted" in {m["promotion"], m["loose_promotion"]} for m in markets)
    promoted = sum(m["promotion"] == "promoted" for m in markets)
    asked = [m for m in markets if m["loose_promotion"] != "not asked"]
    loosely = sum(m["loose_promotion"] == "promoted" for m in asked)
    told = f"{share(promoted, len(markets))} promoted; at 0.50 (EXPLORATORY) {loosely} of {len(asked)} asked"
    return len(markets), NULL_MARKETS, told, good


def _cycles(found: Found) -> tuple[int, int, str, bool]:
    markets = found["cycles"]["results"]
    passed = sum(m["promotion"] == "promoted" for m in markets)
    return len(markets), CYCLES_MARKETS, f"{share(passed, len(markets))} promoted", True


def _power(found: Found) -> tuple[int, int, str, bool]:
    part = found["power"]
    return part["units"], part["wanted"], f"{len(power_groups(part['results']))} combinations", True


def _coverage(found: Found) -> tuple[int, int, str, bool]:
    """Judged on the length that the quick workload's gates judge; the other is in the table."""
    counted = [item for item in found["coverage"]["results"] if item["days"] == JUDGED_DAYS]
    shares = [item["held"] / item["ranges"] for item in counted]
    low, high = COVERAGE_BAND
    told = f"{100 * min(shares):.1f} to {100 * max(shares):.1f} % hold it" if shares else "not run"
    fewest = min((item["ranges"] for item in counted), default=0)
    return fewest, RANGES, told, bool(shares) and all(low <= value <= high for value in shares)


def _leaks(found: Found) -> tuple[int, int, str, bool]:
    rows = found["leaks"]["results"]
    strongest: dict[tuple[str, str], Found] = {}
    for item in rows:
        key = (item["leak"], item["kind"])
        if item["leak"] != CONTROL and item["strength"] > strongest.get(key, {"strength": -1.0})["strength"]:
            strongest[key] = item
    caught = sum(item["caught"] == item["units"] for item in strongest.values())
    innocent = sum(item["caught"] for item in rows if item["leak"] == CONTROL)
    told = (
        f"{caught} of {len(strongest)} always caught at full strength; the innocent column {innocent} times"
    )
    return found["leaks"]["units"], found["leaks"]["wanted"], told, caught == len(strongest) and not innocent


DEMANDS: Final[tuple[tuple[str, str, Callable[[Found], tuple[int, int, str, bool]]], ...]] = (
    ("null", "nothing promoted on at least 200 `null` markets", _null),
    ("cycles", "at least 50 `cycles` markets: how many pass", _cycles),
    ("power", "power over planted strength and test length", _power),
    ("coverage", "93 to 97 % of at least 2,000 ranges of 18 days hold the truth, each market", _coverage),
    ("leaks", "the ten leaks are caught, an innocent column is not", _leaks),
)


def verdicts(found: Found) -> str:
    """What is required, on how much it was measured, and whether it came out."""
    rows: list[Sequence[str]] = [("part", "required", "measured on", "found", "as required")]
    for part, words, check in DEMANDS:
        units, wanted, told, good = check(found)
        verdict = ("yes" if good else "no") if units >= wanted else ("so far" if good else "not so far")
        rows.append(
            (part, words, f"{units:,} of {wanted:,}", told if units else "–", verdict if units else "not run")
        )
    return markdown(rows)


def as_required(found: Found) -> bool:
    """Everything ran in full and came out."""
    checked = [check(found) for _, _, check in DEMANDS]
    return all(good and units >= wanted for units, wanted, _, good in checked)


def seeds(found: Found) -> str:
    """Which seeds every part ran on, and which code made it."""
    rows: list[Sequence[str]] = [("part", "seeds", "units", "CPU s a unit", "code")]
    for part, item in found.items():
        used = item.get("seeds") or sorted({result["seed"] for result in item["results"]})
        spread = f"{used[0]} … {used[-1]}" if used else "–"
        codes = ", ".join(f"`{code}`" for code in item["codes"]) or "–"
        spent = "–" if item["cpu_s"] is None else f"{item['cpu_s']:.1f}"
        rows.append((part, spread, f"{item['units']} of {item['wanted']}", spent, codes))
    return markdown(rows)


def section(found: Found) -> str:
    """Everything between the markers."""
    null, cycles = found["null"]["results"], found["cycles"]["results"]
    counted = found["coverage"]["results"]
    parts = [
        f"Made by `{COMMAND}`. Shares have 95 % Clopper–Pearson intervals.",
        verdicts(found),
        seeds(found),
        "### Nothing to learn: each gate's false passes\n\n" + _NULL_WORDS,
        gate_table(null, {"threshold 0.68": "gates", "threshold 0.50": "gates_loose"}),
        "### Something to learn: what refuses it all the same",
        gate_table(cycles, {"passes": "gates"}),
        refusals(cycles),
        "### Power\n\n" + _POWER_WORDS,
        power_table(found["power"]["results"]),
        f"![share of markets that pass all gates]({POWER_PLOT})",
        "### Coverage of the accuracy interval\n\n" + _COVERAGE_WORDS,
        coverage_table(counted),
        f"![where the measured accuracy lies]({COVERAGE_PLOT})",
        _FROZEN_WORDS,
        frozen_gates_table(counted),
        "### Ten planted leaks\n\n" + _LEAK_WORDS,
        leak_table(found["leaks"]["results"]),
    ]
    return "\n\n".join(parts)


_NULL_WORDS: Final = (
    "A market is 120 days of one coin, an LSTM of the product's own training (ten epochs), judged by the "
    "product's evaluation. Every tenth market is evaluated as a whole at 0.50 as well, and the registry is "
    "asked to promote that."
)
_POWER_WORDS: Final = (
    "The default amplitude of `cycles`, 45 basis points, scaled for this experiment alone. The last columns "
    "count the markets that pass each gate."
)
_COVERAGE_WORDS: Final = (
    "One frozen LSTM (trained on `cycles` seed 9001) over disjoint ranges of other seeds. The truth on "
    "`cycles` is the mean over all bars of all ranges; on `null` it is one half. The plot has the 18-day "
    "ranges of `cycles`: beyond ±1 the interval misses the truth. What is required holds for 18 days, the "
    "quick workload's test range; 15 days are the fewest an interval is given for.\n\n"
    "On `cycles` the interval is a little wider than it needs to be, and the shorter the range the more: the "
    "synthetic week has calm and busy days, so that ranges which begin on different weekdays differ in what "
    "there is to know. Day blocks take that for chance, but most of it is in every range alike and moves no "
    "mean: the ranges' accuracies vary less than the intervals say (column *variance*). On `null`, where no "
    "day is easier than another, the two agree. An interval that is too wide refuses, it does not pass."
)
_FROZEN_WORDS: Final = (
    "What the gates say of these ranges: on `null` a model that is confident and knows nothing. Significance "
    "tests against three baselines at the α of a first attempt, 0.0304 two-sided."
)
_LEAK_WORDS: Final = (
    "Strength is the leak's share of the value where it is *diluted*, the share of minutes or gaps where it "
    "is *rare*, and a number of rows; of overlapping splits the first 15 are those that should have been "
    "purged. Checks 3 and 5 read the rows that the trainer recorded: rows it would not record are outside "
    "what they see."
)


def publish(document: Path, found: Found) -> None:
    """Write the tables between their marks and the plots beside. Raises ValueError without marks."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n{section(found)}\n{END}{after}")
    plots(document.parent, found)


def plots(folder: Path, found: Found) -> None:
    """Write both plots."""
    series: dict[str, list[Point]] = {}
    for (_, scale), group in power_groups(found["power"]["results"]).items():
        passed = sum(all(m["gates"].values()) for m in group)
        point = Point(45 * scale, passed / len(group), *clopper_pearson(passed, len(group)))
        series.setdefault(f"{group[0]['test_days']} test days", []).append(point)
    title = "Markets that pass all five gates"
    curves(folder / POWER_PLOT, title, "amplitude, basis points", "share", series)
    chosen = [i["placed"] for i in found["coverage"]["results"] if (i["market"], i["days"]) == ("cycles", 18)]
    bars(
        folder / COVERAGE_PLOT, "Measured accuracy less the truth, cycles, 18 days",
        "half widths of the 95 % interval", "share of ranges", (-2.0, 2.0), chosen[0] if chosen else [0],
    )  # fmt: skip
