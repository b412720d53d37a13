"""Four markets, five seeds, three coins: what the pipeline makes of each, as a table in docs/evidence.md.

    python benchmarks/evidence_markets.py [--markets cycles,null] [--seeds 1,2] [--folder DIR]
                                          [--any-code | --table-only | --repeat]

Every (market, seed) runs the quick workload in a home of its own through the command line, two at a time.
Beside it stands what the clock alone tells (clock_model.py), on the same bars, and for ``cycles`` on the full
range as well. Finished results are kept in the folder, with a hash of the code that decides results: a run
that was killed goes on where it was, and other code starts over unless ``--any-code`` says that the
difference does not matter. ``--table-only`` writes the tables from whatever is kept. ``--repeat`` leaves the
tables as they are, runs the chosen markets and seeds again with the code there is now, compares every number
with the document's and writes down what came out.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.files import write_json
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MARKETS, PIPELINE_SYMBOLS, lstm_name, parse_market
from tradingai.engine.datasets.dataset import load_dataset
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.datasets.splits import time_split
from tradingai.engine.models.artifact import best_path
from tradingai.engine.pipeline.plan import WORKLOADS
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.store.candle_files import read_candles

import evidence_tables
from clock_model import clock_accuracy

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "evidence.md"
WORKERS: Final = 2
DECIDING: Final = ("providers", "features", "datasets", "models", "training", "evaluation", "gates.py")
"""Parts of the engine whose code decides what comes out."""
_REFUSED_STATUS: Final = 3
_LOCKED_WAIT_S: Final = 5.0


def deciding_code() -> str:
    """Hash of the deciding parts as the interpreter sees them: without layout, comments and docstrings."""
    engine = ROOT / "tradingai" / "engine"
    hasher = hashlib.sha256()
    for part in DECIDING:
        path = engine / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            tree = ast.parse(file.read_text())
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list):
                    node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
            hasher.update(f"{file.relative_to(engine)}\n{ast.dump(tree)}\n".encode())
    return hasher.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def run_pipeline(home: Path, market: str, seed: int) -> dict[str, Any]:
    """The document of ``pipeline --json``; a pipeline that a killed run left in this home is waited for."""
    command = [
        sys.executable, "-m", "tradingai", "--home", str(home), "pipeline", "--workload", "quick",
        "--market", market, "--seed", str(seed), "--models", "lstm", "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JOB_WORKERS": "1"}
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        document: dict[str, Any] = json.loads(done.stdout or "{}")
        if done.returncode in {0, _REFUSED_STATUS}:
            return document
        if document.get("error", {}).get("code") != "locked":
            said = f"{done.stdout}{done.stderr}"
            raise SystemExit(f"{market} seed {seed} ended with {done.returncode}:\n{said}")
        time.sleep(_LOCKED_WAIT_S)


def coin_row(paths: HomePaths, outcome: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of one model, with everything that identifies it."""
    symbol = outcome["symbol"]
    data = load_dataset(paths, symbol)
    card = json.loads(best_path(paths, lstm_name(symbol)).with_suffix(".json").read_text())
    ts = read_candles(paths, symbol, verify=False).ts
    return {
        "symbol": symbol,
        "accuracy": outcome["accuracy"],
        "accuracy_ci": outcome["accuracy_ci"],
        "n": outcome["n"],
        "validation_accuracy": card["record"]["validation"]["early_stop"]["accuracy"],
        "oracle": outcome["oracle"]["accuracy"],
        "baselines": {name: item["accuracy"] for name, item in outcome["baselines"].items()},
        "differences": {name: item["difference_ci"] for name, item in outcome["baselines"].items()},
        "clock": clock_accuracy(ts, data.labels, data.split.train, data.split.test),
        "tier_mae": outcome["tier_mae"],
        "refused_by": [gate["id"] for gate in outcome["gates"] if not gate["passed"]],
        "promotion": outcome["promotion"],
        "artifact_sha256": outcome["inputs"]["artifact_sha256"],
        "data_sha256": outcome["inputs"]["data_sha256"],
    }


def quick_unit(folder: Path, market: str, seed: int) -> dict[str, Any]:
    """One market and seed through the quick pipeline; its home goes when the result is there."""
    home = folder / "homes" / f"{market}-{seed}"
    began = time.perf_counter()
    document = run_pipeline(home, market, seed)
    rows = [coin_row(HomePaths(home), outcome) for outcome in document["models"]]
    return {"market": market, "seed": seed, "seconds": time.perf_counter() - began, "coins": rows}


def clock_unit(market: str, seed: int) -> dict[str, Any]:
    """What the clock tells of one market over the full range, where chance is small."""
    began, full = time.perf_counter(), WORKLOADS["full"]
    first, last = (int(moment.timestamp()) // 60 for moment in (full.start, full.end))
    source, coins = SyntheticMarket(parse_market(market), seed), {}
    for symbol in PIPELINE_SYMBOLS:
        candles = source.candles(symbol, first, last)
        split = time_split(len(candles))
        coins[symbol] = clock_accuracy(candles.ts, direction_labels(candles.close), split.train, split.test)
    return {"market": market, "seed": seed, "seconds": time.perf_counter() - began, "coins": coins}


def unit(folder: Path, kind: str, market: str, seed: int, code: str, *, any_code: bool) -> dict[str, Any]:
    """The result of one unit: the kept one when the same code made it, or ``any_code`` will do."""
    path = folder / f"{kind}-{market}-{seed}.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text())
        if any_code or kept["code"] == code:
            return kept
    found = quick_unit(folder, market, seed) if kind == "quick" else clock_unit(market, seed)
    result = {**found, "code": code}
    write_json(path, result)
    shutil.rmtree(folder / "homes" / f"{market}-{seed}", ignore_errors=True)
    print(f"{kind} {market} seed {seed}: {result['seconds']:.0f} s, {_short(result)}", flush=True)
    return result


def _short(result: dict[str, Any]) -> str:
    if isinstance(result["coins"], dict):
        return f"at most {max(max(item.values()) for item in result['coins'].values()):.1%}"
    return ", ".join(f"{row['accuracy']:.1%} {row['promotion']}" for row in result["coins"])


def collect(
    folder: Path, markets: Sequence[str], seeds: Sequence[int], *, run: bool, any_code: bool
) -> dict[str, Any]:
    """Every unit's result; with ``run`` False only those that are there, whatever code made them."""
    code = deciding_code()
    wanted = [("quick", market, seed) for seed in seeds for market in markets]
    wanted += [("clock", "cycles", seed) for seed in seeds if "cycles" in markets]
    if run:
        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(lambda item: unit(folder, *item, code, any_code=any_code), wanted))
    else:
        paths = [folder / f"{kind}-{market}-{seed}.json" for kind, market, seed in wanted]
        results = [json.loads(path.read_text()) for path in paths if path.is_file()]
    quick = [item for item in results if isinstance(item["coins"], list)]
    clock = [item for item in results if isinstance(item["coins"], dict)]
    order = {market: index for index, market in enumerate(MARKETS)}
    quick.sort(key=lambda item: (order[item["market"]], item["seed"]))
    return {
        "codes": sorted({item["code"] for item in results}),
        "wanted": len(markets) * len(seeds),
        "quick": quick,
        "clock_full_range": clock,
    }


def repeat(folder: Path, document: Path, markets: Sequence[str], seeds: Sequence[int]) -> bool:
    """Run part of the document's evidence again, note beside it whether the numbers are the same."""
    stored = document.with_suffix(".json")
    found, code = json.loads(stored.read_text()), deciding_code()
    kept = {(item["market"], item["seed"]): item for item in found["quick"]}
    wanted = [(market, seed) for seed in seeds for market in markets]
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        again = list(pool.map(lambda item: unit(folder, "quick", *item, code, any_code=False), wanted))
    found["repeated"] = [
        {
            "market": item["market"],
            "seed": item["seed"],
            "code": code,
            "models": len(item["coins"]),
            "differences": evidence_tables.differences(kept[item["market"], item["seed"]], item),
        }
        for item in again
    ]
    write_json(stored, found)
    evidence_tables.publish(document, found)
    print(evidence_tables.repeated(found))
    return not any(item["differences"] for item in found["repeated"])


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--markets", default=",".join(MARKETS))
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "evidence")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--any-code", action="store_true", help="take kept results of other code as well")
    how.add_argument("--table-only", action="store_true", help="write the tables from kept results")
    how.add_argument("--repeat", action="store_true", help="run again, compare with the document's numbers")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    markets = [parse_market(text) for text in options.markets.split(",")]
    seeds = [int(text) for text in options.seeds.split(",")]
    if options.repeat:
        sys.exit(0 if repeat(options.folder / "repeat", options.document, markets, seeds) else 1)
    run = not options.table_only
    found = collect(options.folder, markets, seeds, run=run, any_code=options.any_code)
    write_json(options.document.with_suffix(".json"), found)
    evidence_tables.publish(options.document, found)
    print(evidence_tables.verdict_table(found))
    sys.exit(0 if evidence_tables.as_required(found) else 1)


if __name__ == "__main__":
    main()
