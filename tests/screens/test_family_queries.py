"""Pictures of the agent's runs, of an ensemble and of the phases, against values worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.reporting import Progress
from tradingai.engine.decision.ensemble import OTHER_WEIGHTS
from tradingai.engine.queries.ensemble_views import EnsembleRules, LiveShares, in_order, not_live
from tradingai.engine.queries.job_views import job_view
from tradingai.engine.queries.model_views import ModelReader, next_attempt
from tradingai.engine.queries.phases import Facts, model_words, phases
from tradingai.engine.queries.training_facts import run_facts
from tradingai.engine.runtime.desk_facts import HomeDesks

from tests.fakes.homes import new_home, plain_settings
from tests.screens.test_queries import NOW, job_row

COINS = ("BTC-USD", "ETH-USD")
LSTMS = ("lstm_BTC-USD", "lstm_ETH-USD")


def stage(number, earned, **more):
    """A line as ``training/ppo.py`` writes it."""
    return {
        "stage": number, "env_steps": 1000 * number, "entropy": 1.0 / number, "approx_kl": 0.001,
        "clip_fraction": 0.02, "value_loss": 4.5, "best": earned > 0.4, "mean_return_bps": earned - 0.1,
        "validation_return_bps": earned, "env_steps_per_s": 100.0 * number,
    } | more  # fmt: skip


def agent_history(paths, run, started, earned):
    folder = paths.checkpoints / "ppo_history"
    folder.mkdir(parents=True, exist_ok=True)
    head = {"model": "ppo", "run": run, "started_at": started, "resumes": 1, "epochs": 5, "seed": 7,
            "device": "cpu", "threads": 1}  # fmt: skip
    lines = [head, *(stage(number, value) for number, value in enumerate(earned, start=1))]
    (folder / f"{run}.jsonl").write_text("".join(dumps(line) + "\n" for line in lines))


def test_a_run_of_the_agent_has_stages(tmp_path):
    paths = new_home(tmp_path / "home")
    agent_history(paths, "a", "2025-11-12T11:00:00Z", [0.1, 0.5, 0.3, 0.5, 0.2])
    agent_history(paths, "b", "2025-11-12T11:59:01Z", [0.2, 0.6])
    progress = Progress(2500.0, 5000.0, "env steps", rate=250.0, eta_s=10.0, detail={"epoch": 3, "epochs": 5})
    running = job_view(job_row(target="ppo", progress=progress), NOW, lambda pid: None)
    newest, older = ModelReader(paths, lambda ledger, model: None).runs(
        ("ppo",), [running], Ledger(), {"j1": "b"}
    )
    assert (newest.state, newest.finished, newest.points, newest.best_epoch) == ("running", 2, (), 2)
    assert newest.bars_per_s == 200.0
    assert (older.state, older.best_epoch, older.early_stopped) == ("done", 2, False)
    point = older.stages[2]
    assert (point.env_steps, point.entropy, point.approx_kl) == (3000, pytest.approx(1 / 3), 0.001)
    assert (point.mean_return_bps, point.validation_return_bps) == (pytest.approx(0.2), 0.3)
    assert (point.clip_fraction, point.value_loss, point.env_steps_per_s) == (0.02, 4.5, 300.0)
    assert older.facts["resumed"] == "once"


def test_an_agent_that_has_said_nothing_yet_has_no_number_of_stages(tmp_path):
    starting = job_view(job_row(target="ppo", progress=None), NOW, lambda pid: None)
    reader = ModelReader(new_home(tmp_path / "home"), lambda ledger, model: None)
    (run,) = reader.runs(("ppo",), [starting], Ledger())
    assert (run.epochs, run.stages, run.state) == (0, (), "running")


def test_each_kind_of_network_is_described_as_what_it_is():
    run = {"device": "cpu", "threads": 1}
    coins = [
        {"symbol": coin, "calibrator": {"method": "platt", "slope": slope}}
        for coin, slope in (("BTC-USD", 0.98), ("ETH-USD", 0.5))
    ]
    config = {"inputs": [52, 48], "projection": 16, "width": 48, "heads": 2, "layers": 2, "window": 64}
    card = {"config": config, "warmup": {"bars": 270}, "sha256": "a" * 64, "coins": coins}
    facts = run_facts("transformer", run, {"split": {"train": [0, 1000]}, "coins": {"a": 1, "b": 2}}, card)
    assert facts["inputs"] == "52 + 48 features"
    assert facts["attention"] == "2 heads, 64 minutes, causal"
    assert facts["calibration ETH-USD"] == "platt × 0.50"
    assert facts["train"] == "1,000 bars a coin"
    agent = {"config": {"inputs": 52, "hidden": 32, "width": 16}, "warmup": {"bars": 0}, "sha256": "b" * 64}
    facts = run_facts("ppo", run, {}, agent)
    assert facts["network"] == "32 a coin → 16 → action, value"
    assert facts["warm-up"] == "none, it has no memory"
    lstm = {"config": {"inputs": 52, "projection": 16, "hidden": 32}, "coins": [coins[0]]}
    assert run_facts("lstm_BTC-USD", run, {}, lstm)["network"] == "16 → LSTM 32"


# ------------------------------------------------------------------------------ phases


def evaluated(model, artifact, *, coins=("BTC-USD",), passed=True, seq=1):
    details = {
        "passed": passed, "gates": {"accuracy": passed}, "metrics": {"accuracy": 0.7},
        "coins": {coin: {"test_sha256": f"test {coin}"} for coin in coins},
    }  # fmt: skip
    return entry("evaluated", model, artifact, details, seq)


def entry(kind, model, artifact, details=None, seq=1):
    """What the queries ask of an entry of the ledger."""
    found = details or {}
    return SimpleNamespace(
        kind=kind, model=model, version="v1.0.0", artifact_sha256=artifact, details=found, seq=seq,
        coins=found.get("coins", {}), at=datetime(2025, 11, 12, tzinfo=UTC),
    )  # fmt: skip


def ledger(*entries):
    return Ledger(tuple(entries))


def test_lstms_alone_are_a_whole_home():
    artifacts = dict.fromkeys(LSTMS, "x")
    assert Facts(COINS, artifacts=artifacts).models == LSTMS
    training = phases(Facts(COINS, artifacts=artifacts))[2]
    assert (training.state, training.detail) == ("done", "2 LSTM")


def test_other_kinds_count_once_they_were_begun():
    artifacts = dict.fromkeys(LSTMS, "x")
    begun = Facts(COINS, artifacts=artifacts, jobs=[job_row(target="transformer", state="failed")])
    assert begun.models == (*LSTMS, "transformer")
    assert phases(begun)[2].command == "tradingai train transformer"
    both = Facts(COINS, artifacts=artifacts | {"transformer": "y"})
    assert both.models == (*LSTMS, "transformer", "ensemble")
    training, evaluation = phases(both)[2:4]
    assert (training.state, training.detail) == ("done", "2 LSTM, transformer")
    assert evaluation.state == "waiting"
    judged = Facts(COINS, ledger=ledger(evaluated("ppo", "z"), evaluated("ensemble", "e", seq=2)))
    assert judged.models == (*LSTMS, "ppo", "ensemble")


def test_models_in_words_and_in_order():
    assert model_words(["lstm_A-USD", "lstm_B-USD", "transformer", "ppo"]) == "2 LSTM, transformer, PPO"
    mixed = {"ensemble", "ppo", "lstm_C-USD", "transformer", "lstm_A-USD"}
    assert in_order(mixed, ("lstm_A-USD",)) == ("lstm_A-USD", "lstm_C-USD", "transformer", "ppo", "ensemble")


def test_a_model_nobody_evaluated_is_the_next_attempt_on_its_coins_data():
    book = ledger(
        evaluated("lstm_BTC-USD", "a", seq=1),
        evaluated("transformer", "b", coins=COINS, seq=2),
    )
    assert next_attempt(book, "ppo", "") == 3
    assert next_attempt(book, "lstm_ETH-USD", "") == 2
    assert next_attempt(book, "lstm_BTC-USD", "a") == 1
    assert next_attempt(ledger(), "ensemble", "") == 1


# ------------------------------------------------------------------------------ ensemble

RULE = {
    "components": [["lstm_BTC-USD", "lstm", "v1.0.0", "a"], ["transformer", "transformer", "v1.0.0", "b"],
                   ["ppo", "ppo", "v1.0.0", "c"]],
    "weights": [0.35, 0.40, 0.25], "without_rl": [0.5, 0.5], "agent_joins": True, "calibrators": {},
}  # fmt: skip
AGENT = {"joins": True, "reason": "", "days": 40, "daily_r_with": 2.5, "daily_r_without": 2.0,
         "difference_ci": [0.1, 0.9], "alpha": 0.05, "required_gain": 1.02}  # fmt: skip


def stored_ensemble(paths, rule, agent=AGENT):
    folder = paths.versions / "ensemble" / "v1.0.0"
    folder.mkdir(parents=True, exist_ok=True)
    subsets = {"lstm+transformer": {}, "lstm+transformer+ppo": {}}
    record = {"coins": {"BTC-USD": {"calibrators": subsets}}, "agent": agent}
    (folder / "model.json").write_text(json.dumps({"kind": "ensemble", "config": rule, "record": record}))


@pytest.mark.parametrize(
    ("joins", "wanted"),
    [
        (True, {"lstm": 0.35, "transformer": 0.40, "ppo": 0.25}),
        (False, {"lstm": 0.5, "transformer": 0.5}),
    ],
)
def test_weights_are_those_of_the_rule(tmp_path, joins, wanted):
    paths = new_home(tmp_path / "home")
    stored_ensemble(paths, RULE | {"agent_joins": joins})
    view = EnsembleRules(paths).view("v1.0.0", HomeDesks(plain_settings()))
    assert view is not None
    assert view.shares["BTC-USD"] == pytest.approx(wanted)
    assert [part.model for part in view.components] == ["lstm_BTC-USD", "transformer", "ppo"]
    assert view.agent is not None
    assert (view.agent.difference, view.agent.daily_r_with, view.agent.days) == ((0.1, 0.9), 2.5, 40)


def live(*models, ensemble=True):
    found = [entry("promoted", model, sha256, seq=seq) for seq, (model, sha256) in enumerate(models, start=1)]
    return ledger(*found, *([entry("promoted", "ensemble", "e", seq=9)] if ensemble else []))


ALL = (("lstm_BTC-USD", "a"), ("transformer", "b"), ("ppo", "c"))


def test_shares_that_hold_are_the_live_ensembles(tmp_path):
    paths = new_home(tmp_path / "home")
    stored_ensemble(paths, RULE)
    rules, desks = EnsembleRules(paths), HomeDesks(plain_settings())
    shares = LiveShares(live(*ALL), rules, desks)
    assert (shares.idle, shares.of("transformer"), shares.of("ppo")) == ("", 0.40, 0.25)
    changed = LiveShares(live(*ALL[:2], ("ppo", "other")), rules, desks)
    assert changed.idle == "ppo v1.0.0 is live, and it was made of v1.0.0"
    assert (changed.of("transformer"), changed.of("ppo")) == (0.5, None)
    nothing = LiveShares(live(*ALL, ensemble=False), rules, desks)
    assert (nothing.idle, nothing.of("lstm_BTC-USD"), nothing.of("ppo")) == ("", 0.5, None)
    other = HomeDesks(plain_settings(ensemble_weights="0.5,0.3,0.2"))
    assert LiveShares(live(*ALL), rules, other).idle == OTHER_WEIGHTS


def test_what_an_ensemble_is_made_of_and_is_not_live(tmp_path):
    paths = new_home(tmp_path / "home")
    stored_ensemble(paths, RULE)
    view = EnsembleRules(paths).view("v1.0.0", HomeDesks(plain_settings()))
    assert not_live(live(*ALL), view) == ()
    assert not_live(live(*ALL[:2]), view) == ("ppo v1.0.0",)
    assert not_live(live(*ALL), replace(view, components=(replace(view.components[0], sha256="z"),))) == (
        "lstm_BTC-USD v1.0.0",
    )


def test_a_card_nobody_can_read_gives_no_weights(tmp_path):
    paths = new_home(tmp_path / "home")
    rules = EnsembleRules(paths)
    assert rules.view("v1.0.0", HomeDesks(plain_settings())) is None
    shares = LiveShares(live(*ALL), rules, HomeDesks(plain_settings()))
    assert shares.idle == "the description of ensemble v1.0.0 cannot be read"
