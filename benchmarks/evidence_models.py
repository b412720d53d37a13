"""All kinds of models on a market with something to learn and on one without, as a table in docs/evidence.md.

    python benchmarks/evidence_models.py [--markets cycles,null] [--seeds 1,2] [--folder DIR]
                                         [--any-code | --table-only]

Every (market, seed) runs the quick workload with LSTMs, Transformer, agent and ensemble in a home of its own
through the command line, two at a time. Beside the gates' verdicts stand: the paired difference between the
ensemble and the best single model of each coin, and what the agent's greedy policy earned a day on the test
range after costs. Finished results are kept in the folder, with a hash of the code that decides results.
"""

from __future__ import annotations

import argparse
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

import numpy as np
from tradingai.engine.core.files import write_json
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import Interval
from tradingai.engine.core.symbols import MINUTE_US, PIPELINE_SYMBOLS, parse_market
from tradingai.engine.datasets.market import MarketDataset, load_market
from tradingai.engine.evaluation.evaluate import load_voice
from tradingai.engine.evaluation.intervals import ACCURACY_ALPHA, DAY_US, day_blocks, ratio_interval
from tradingai.engine.models.artifact import best_path, load_artifact
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.policy import build_policy
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.training.market_env import CoinRows
from tradingai.engine.training.policy_run import action_logits, greedy_positions, net_log_returns

import models_tables
from evidence_markets import deciding_code

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "evidence.md"
WORKERS: Final = 2
KINDS: Final = "lstm,transformer,ppo"
_BPS: Final = 1e4
_REFUSED_STATUS: Final = 3


def run_pipeline(home: Path, market: str, seed: int) -> dict[str, Any]:
    """The document of ``pipeline --json``."""
    command = [
        sys.executable, "-m", "tradingai", "--home", str(home), "pipeline", "--workload", "quick",
        "--market", market, "--seed", str(seed), "--models", KINDS, "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JOB_WORKERS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode not in {0, _REFUSED_STATUS}:
        raise SystemExit(f"{market} seed {seed} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def model_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What the table shows of every model on every coin."""
    return [
        {
            "model": outcome["model"],
            "symbol": coin["symbol"],
            "accuracy": coin["accuracy"],
            "accuracy_ci": coin["accuracy_ci"],
            "oracle": coin["oracle"]["accuracy"],
            "tier_mae": coin["tier_mae"],
            "attempt": coin["attempt"],
            "refused_by": [gate["id"] for gate in coin["gates"] if not gate["passed"]],
            "promotion": outcome["promotion"],
            "artifact_sha256": coin["inputs"]["artifact_sha256"],
        }
        for outcome in document["models"]
        for coin in outcome.get("coins", {"": outcome}).values()
    ]


def right_by_model(paths: HomePaths, market: MarketDataset, models: Sequence[str]) -> dict[str, Any]:
    """Model and coin to whether it was right on each labelled test bar."""
    test, found = market.split.test, {}
    values = {coin.symbol: coin.values for coin in market.coins}
    for model in models:
        artifact = load_artifact(best_path(paths, model))
        with reproducible(choose_compute("cpu"), int(artifact.record["threads"])):
            said = load_voice(paths, artifact).probabilities(values, test.lo, test.hi, market.first_valid)
        for coin in market.coins:
            if coin.symbol in said:
                labels = coin.labels[test.slice]
                known = labels >= 0
                found[model, coin.symbol] = (said[coin.symbol][known] > 0.5) == (labels[known] == 1)
    return found


def beside_best(market: MarketDataset, right: dict[Any, Any]) -> list[dict[str, Any]]:
    """By coin the ensemble's accuracy less that of the most accurate single model, paired by day."""
    rows = []
    for coin in market.coins:
        singles = {
            model: said
            for (model, symbol), said in right.items()
            if symbol == coin.symbol and model != "ensemble"
        }
        best = max(singles, key=lambda model: float(singles[model].mean()))
        ensemble = right["ensemble", coin.symbol]
        difference = ensemble.astype(np.float64) - singles[best].astype(np.float64)
        span = _paired(market, coin.labels, difference)
        rows.append(
            {
                "symbol": coin.symbol, "best": best, "best_accuracy": float(singles[best].mean()),
                "ensemble": float(ensemble.mean()), "difference_ci": span.bounds,
            }
        )  # fmt: skip
    return rows


def _paired(market: MarketDataset, labels: Any, difference: Any) -> Interval:
    test = market.split.test
    known = labels[test.slice] >= 0
    blocks = day_blocks(market.coins[0].ts0 + test.indices()[known] * MINUTE_US)
    return ratio_interval(blocks.sums(difference), blocks.bars, ACCURACY_ALPHA)


def agent_profit(paths: HomePaths, market: MarketDataset) -> dict[str, Any]:
    """Net log return a day of the greedy policy over the test range, from flat, mean of the coins, in bps."""
    artifact = load_artifact(best_path(paths, "ppo"))
    network, test, costs = (
        build_policy(artifact.config, artifact.tensors),
        market.split.test,
        ExecutionCosts(),
    )
    day = (market.coins[0].ts0 + np.arange(test.lo, test.hi - 1) * MINUTE_US) // DAY_US
    daily = np.zeros(int(day[-1] - day[0]) + 1)
    changes = 0
    for number, coin in enumerate(market.coins):
        rows = CoinRows.of(coin, artifact.coin(coin.symbol).scaler, test)
        positions = greedy_positions(action_logits(network, number, rows))
        earned = net_log_returns(positions, rows, costs) * _BPS / len(market.coins)
        daily += np.bincount(day - day[0], weights=earned, minlength=len(daily))
        changes += int((np.diff(positions) != 0).sum())
    span = ratio_interval(daily, np.ones(len(daily)), ACCURACY_ALPHA)
    return {
        "daily_bps": float(daily.mean()), "daily_bps_ci": span.bounds, "days": len(daily),
        "changes_a_day": changes / len(daily) / len(market.coins),
    }  # fmt: skip


def one(folder: Path, market: str, seed: int) -> dict[str, Any]:
    """One market and seed; its home goes when the result is there."""
    home, began = folder / "homes" / f"{market}-{seed}", time.perf_counter()
    document = run_pipeline(home, market, seed)
    paths, rows = HomePaths(home), model_rows(document)
    data = load_market(paths, PIPELINE_SYMBOLS)
    right = right_by_model(paths, data, [outcome["model"] for outcome in document["models"]])
    card = json.loads(best_path(paths, "ensemble").with_suffix(".json").read_text())
    found = {
        "market": market, "seed": seed, "models": rows, "beside_best": beside_best(data, right),
        "agent": agent_profit(paths, data), "agent_joins": card["record"]["agent"],
        "pipeline_seconds": document["seconds"],
    }  # fmt: skip
    return {**found, "seconds": time.perf_counter() - began}


def unit(folder: Path, market: str, seed: int, code: str, *, any_code: bool) -> dict[str, Any]:
    """The result of one market and seed: the kept one when the same code made it, or ``any_code`` will do."""
    path = folder / f"models-{market}-{seed}.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text())
        if any_code or kept["code"] == code:
            return kept
    done = subprocess.run(  # a process of its own: trainings would fight over torch's threads
        [sys.executable, __file__, "--one", market, str(seed), "--folder", str(folder)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{market} seed {seed} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    result: dict[str, Any] = {**json.loads(done.stdout.splitlines()[-1]), "code": code}
    write_json(path, result)
    shutil.rmtree(folder / "homes" / f"{market}-{seed}", ignore_errors=True)
    live = sum(row["promotion"] == "promoted" for row in result["models"])
    print(f"{market} seed {seed}: {result['seconds']:.0f} s, {live} of {len(result['models'])}", flush=True)
    return result


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--markets", default="cycles,null")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "evidence")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--one", nargs=2, metavar=("MARKET", "SEED"), help=argparse.SUPPRESS)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--any-code", action="store_true", help="take kept results of other code as well")
    how.add_argument("--table-only", action="store_true", help="write the tables from kept results")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.one:
        print(json.dumps(one(options.folder, options.one[0], int(options.one[1]))))
        return
    code = deciding_code()
    wanted = [
        (parse_market(text), int(seed))
        for seed in options.seeds.split(",")
        for text in options.markets.split(",")
    ]
    if options.table_only:
        paths = [options.folder / f"models-{market}-{seed}.json" for market, seed in wanted]
        results = [json.loads(path.read_text()) for path in paths if path.is_file()]
    else:
        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(
                pool.map(lambda item: unit(options.folder, *item, code, any_code=options.any_code), wanted)
            )
    found = {"codes": sorted({item["code"] for item in results}), "wanted": len(wanted), "runs": results}
    write_json(options.document.with_name("evidence-models.json"), found)
    models_tables.publish(options.document, found)
    print(models_tables.verdicts(found))


if __name__ == "__main__":
    main()
