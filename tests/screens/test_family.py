"""All kinds of models on Training, Gates, Models, Overview and Monitor: what they say and what keys send."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from tradingai.engine.core.commands import Evaluate, Promote, StartTraining
from tradingai.screens.monitor_side import backtest_shares
from tradingai.screens.policy_curves import POLICY_CURVES, policy_picture
from tradingai.screens.policy_parts import STAGE_HEADS, stages_table
from tradingai.screens.steps import to_evaluate
from tradingai.screens.view import Extent, Selection
from tradingai.widgets.plot import Picture

from tests.fakes.console_family import AGENT_RUN, family, learning, stages, unmade
from tests.screens.conftest import MakeConsole
from tests.screens.test_views import text_of

SIZES = [(72, 18), (80, 24), (99, 29), (120, 40), (141, 48), (160, 48), (220, 60)]
MODELS = ("lstm_BTC-USD", "transformer BNB-USD", "ppo ETH-USD", "ensemble BTC-USD", "ppo", "transformer")


def view(screen, snapshot, size=(80, 24), **selected):
    made_of = getattr(import_module(f"tradingai.screens.{screen}"), f"{screen.title()}Screen")
    side = getattr(made_of, "SIDE_COLUMNS", 44)
    return made_of.view(None, snapshot, Selection(**selected), Extent(*size, side))


def shown(screen, snapshot, size=(80, 24), **selected):
    return text_of(view(screen, snapshot, size, **selected))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("screen", ["overview", "training", "gates", "models"])
def test_nothing_runs_over_its_place(screen, size):
    for snapshot in (family(), learning(), unmade()):
        for model in MODELS:
            for options in ({}, {"metric": "kl"}, {"detail": "yes"}, {"evidence": "yes"}):
                found = view(screen, snapshot, size, model=model, options=options)
                columns = size[0] - ((getattr(found, "side", ()) and 44) or 0)
                for slot in found.slots:
                    assert slot.y + slot.height <= Extent(*size).height, (slot.id, model)
                    assert slot.x + slot.width <= size[0]
                    if isinstance(slot.content, Picture):
                        assert (slot.content.width, slot.content.height) == (slot.width, slot.height)
                        continue
                    for line in slot.content:
                        assert line.width <= slot.width - 2 <= columns, (slot.id, line.text)


# ------------------------------------------------------------------------------ Training


def test_training_goes_over_every_model_that_is_trained():
    found = view("training", family(), model="ppo")
    assert found.items == ("lstm_BTC-USD", "lstm_ETH-USD", "lstm_BNB-USD", "transformer", "ppo")
    assert found.item == "ppo"


def test_narrow_shows_return_and_entropy_and_the_rest_as_numbers():
    found = view("training", family(), model="ppo")
    assert {slot.id for slot in found.slots} == {"main", "titles", "return", "entropy"}
    text, last = text_of(found), AGENT_RUN.stages[-1]
    best = AGENT_RUN.stages[AGENT_RUN.best_epoch - 1]
    for fact in (
        f"ppo reached +{best.validation_return_bps:.2f} bps a minute on validation in stage {best.stage}.",
        f"KL {last.approx_kl:.5f}", f"clip {100 * last.clip_fraction:.2f} %",
        f"value loss {last.value_loss:.2f}", "25/25", "v1.0.0 kept", "greedy", "exploring", "11-12 08:10",
    ):  # fmt: skip
        assert fact in text, fact


def test_wide_shows_all_five_curves_and_the_record():
    found = view("training", family(), (160, 48), model="ppo")
    curves = {curve.id for curve in POLICY_CURVES}
    assert {slot.id for slot in found.slots} == {"main", "titles", "titles2", *curves}
    text = text_of(found)
    for fact in ("Approximate KL", "Clip fraction", "Value loss", "32 a coin → 32 → action, value",
                 "What it earned", "none, it has no memory", "137 k"):  # fmt: skip
        assert fact in text, fact


def test_a_running_agent_says_stage_steps_and_time():
    text = shown("training", learning(), model="ppo")
    for fact in ("ppo is learning:", "stage 13/25", "50 %", "131 k steps/s", "0:12", "12.5/25",
                 "1,536,000 of 3,072,000", "running", "11-12 08:30 overlaid"):  # fmt: skip
        assert fact in text, fact


def test_the_metric_of_another_model_shows_all():
    found = view("training", family(), model="ppo", options={"metric": "accuracy"})
    assert {slot.id for slot in found.slots} >= {"return", "entropy"}
    found = view("training", family(), model="transformer", options={"metric": "kl"})
    assert {slot.id for slot in found.slots} >= {"loss", "accuracy"}


async def test_m_goes_over_the_agents_curves(console: MakeConsole):
    made_console = console(family(), screen="training")
    async with made_console.app.run_test(size=(80, 24)) as pilot:
        for _ in range(3):
            await pilot.press("right_square_bracket")
        screen = made_console.app.screen
        assert screen.model == "ppo"
        seen = []
        for _ in range(6):
            await pilot.press("m")
            seen.append(screen.selection.option("metric"))
        assert seen == [*(curve.id for curve in POLICY_CURVES), "both"]


def test_stages_stand_in_a_table_with_every_number():
    table = stages_table(AGENT_RUN)
    assert table.heads == STAGE_HEADS
    assert len(table.rows) == 25
    point = AGENT_RUN.stages[2]
    assert table.rows[2].plain[2:6] == (
        repr(point.mean_return_bps), repr(point.validation_return_bps), repr(point.entropy),
        repr(point.approx_kl),
    )  # fmt: skip


def test_curves_of_one_stage_are_drawn():
    run = replace(AGENT_RUN, stages=stages(1, 0.9), best_epoch=1)
    for curve in POLICY_CURVES:
        picture = policy_picture(curve, run, None, 40, 10, "")
        assert any(cell == ("●", "blue") for row in picture.cells for cell in row), curve.id


def test_the_transformer_says_its_own_shape():
    text = shown("training", family(), (160, 48), model="transformer")
    for fact in ("52 + 52 + 52 features", "48 wide, 2 layers", "2 heads, 64 minutes", "platt × 0.94"):
        assert fact in text, fact


# ------------------------------------------------------------------------------ Gates


def test_all_models_stand_in_one_line_of_eighty_columns():
    lines = shown("gates", family(), model="transformer ETH-USD").splitlines()
    assert " ✓ lstm BTC   ✓ lstm ETH   ✗ lstm BNB   ✗ transformer ETH   ✓ ppo   ✓ ensemble"[1:] in lines
    coins = next(text for text in lines if "BNB 71.9 %" in text)
    assert "✓ BTC 76.8 %" in coins
    assert "✗ BNB 71.9 % calibration" in coins


def test_a_coin_that_passes_says_that_another_refuses():
    text = shown("gates", family(), model="transformer ETH-USD")
    assert "transformer v1.0.0 passes on ETH-USD; another coin refuses it." in text


def test_brackets_go_over_models_and_their_coins():
    found = view("gates", family())
    assert found.items[3:6] == ("transformer BTC-USD", "transformer ETH-USD", "transformer BNB-USD")
    assert found.items[-1] == "ensemble BNB-USD"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
def test_an_ensemble_says_what_it_is_made_of_and_what_the_agent_was_worth(size):
    text = shown("gates", family(), size, model="ensemble BTC-USD")
    facts = ["[−0.12, +0.46] over 161 days", "2.31 R", "2.14"]
    if size[1] == 24:
        facts += ["lstm 0.50, transformer 0.50", "agent out"]
    else:
        facts += ["lstm_BTC-USD", "0.50", "none", "does not join", "v1.0.0, not live"]
    for fact in facts:
        assert fact in text, fact


def test_an_ensemble_that_was_never_made():
    text = shown("gates", unmade(), model="ensemble")
    assert "The ensemble has not been evaluated." in text
    assert "attempt 5" in text
    assert "makes and evaluates it" in text


async def test_v_makes_the_ensemble_and_t_does_not_train_it(console: MakeConsole):
    made_console = console(unmade(), screen="gates")
    async with made_console.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("left_square_bracket")
        while made_console.app.screen.item.model != "ensemble":
            await pilot.press("left_square_bracket")
        assert "t" not in [key.key for key in made_console.app.screen.current.keys]
        await pilot.press("t")
        assert not made_console.engine.sent
        await pilot.press("v", "enter")
        await pilot.pause()
    assert [(type(one), one.model) for one in made_console.engine.sent] == [(Evaluate, "ensemble")]


async def test_an_ensemble_of_versions_that_are_not_live_is_not_offered(console: MakeConsole):
    made_console = console(family(), screen="gates")
    async with made_console.app.run_test(size=(80, 24)) as pilot:
        while made_console.app.screen.item.model != "ensemble":
            await pilot.press("left_square_bracket")
        await pilot.press("p")
        await pilot.pause()
    assert not [one for one in made_console.engine.sent if isinstance(one, Promote)]
    assert any("lstm_BNB-USD v1.0.0, transformer v1.0.0" in text for text, _ in made_console.engine.notes)


# ------------------------------------------------------------------------------ the way through


def test_the_ensemble_is_evaluated_when_all_others_are():
    snapshot = unmade()
    assert to_evaluate(snapshot) == ["ensemble"]
    first, *rest = snapshot.evaluations
    behind = replace(snapshot, evaluations=(replace(first, report=None), *rest))
    assert to_evaluate(behind) == [first.model]
    assert to_evaluate(family()) == [
        "lstm_BTC-USD", "lstm_ETH-USD", "lstm_BNB-USD", "transformer", "ppo",
    ]  # fmt: skip


async def test_a_refused_ensemble_is_made_again_and_not_trained(console: MakeConsole):
    base = family()
    refused = replace(base.evaluations[3], model="ensemble")
    only = replace(
        base,
        phases=tuple(replace(phase, state="done") for phase in base.phases[:4]) + base.phases[4:],
        evaluations=(*base.evaluations[:2], refused),
        jobs=(),
    )
    made_console = console(only)
    async with made_console.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n", "enter")
        await pilot.pause()
    assert [(type(one), one.model) for one in made_console.engine.sent] == [(Evaluate, "ensemble")]
    assert not [one for one in made_console.engine.sent if isinstance(one, StartTraining)]


# ------------------------------------------------------------------------------ Overview, Models, Monitor


def test_overview_gives_every_live_model_its_weight():
    base = family()
    spoken = tuple(
        replace(item, share={"lstm_BTC-USD": 0.35, "transformer": 0.4}.get(item.model))
        for item in base.evaluations
    )
    text = shown("overview", replace(base, evaluations=spoken), (160, 48))
    rows = [line for line in text.splitlines() if line.startswith(("lstm", "ppo"))]
    lines = {line.split()[0]: line for line in rows}
    assert lines["lstm_BTC-USD"].endswith("76.4 %    0.35")
    assert lines["ppo"].split()[-1] == "–"
    assert "3 of 6" in text


def test_models_gives_accuracy_by_coin_and_components():
    text = shown("models", family())
    assert "BTC 76.8 %, ETH 75.8 %, BNB 71.9 %" in text
    refused = shown("models", family(), cursors={"ledger": "8"})
    assert "BTC 76.8 %, ETH 75.8 %, BNB 71.9 % calibration" in refused
    assert "v1.0.0: lstm BTC, lstm ETH, lstm BNB, transformer, ppo" in text


def test_tiers_are_compared_with_the_ensembles_backtest_when_it_speaks():
    base = family()
    *others, ensemble = base.evaluations
    coins = ensemble.report.coins
    bars = sum(coin.n for coin in coins)
    high = sum(tier.n for coin in coins for tier in coin.tiers if tier.name == "high")
    speaks = replace(base, evaluations=(*others, replace(ensemble, live_version="v1.0.0")))
    assert backtest_shares(speaks)["high"] == pytest.approx(high / bars)
    idle = replace(ensemble, live_version="v1.0.0", idle="ppo v1.0.0 is live, and it was made without it")
    silent = replace(base, evaluations=(*others, idle))
    assert backtest_shares(silent) == backtest_shares(base)
