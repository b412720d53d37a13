"""What keys send: asserted on the commands, not on pictures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tradingai.engine.core.commands import (
    BuildFeatures,
    CancelJob,
    Evaluate,
    FetchCandles,
    GenerateCandles,
    ImportCandles,
    Promote,
    ResumeJob,
    Rollback,
    StartTraining,
)
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.screens.commands import CheckFeatures, RunPipeline, VerifyCandles, VerifyModels
from tradingai.screens.steps import clock_text

from tests.fakes.console_story import STATES
from tests.screens.conftest import MakeConsole

SIZE = (100, 30)


async def sent(made, *keys: str):
    """The commands that a row of keys leads to."""
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
    return made.engine.sent


async def test_first_run_starts_the_quick_pipeline_with_one_key(console: MakeConsole):
    (command,) = await sent(console("empty"), "n")
    assert isinstance(command, RunPipeline)
    assert command.payload() == {
        "every_step": True, "workload": "quick", "market": "cycles", "seed": 7, "first": True,
    }  # fmt: skip
    assert (command.sender, command.surface) == ("operator", "console")


async def test_create_candles_sends_one_command_a_coin_for_120_days(console: MakeConsole):
    commands = await sent(console("empty", screen="data"), "c", "enter")
    assert [command.symbol for command in commands] == ["BTC-USD", "ETH-USD", "BNB-USD"]
    first = commands[0]
    assert isinstance(first, GenerateCandles)
    assert first.end == datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
    assert first.start == datetime(2025, 7, 13, 1, 8, tzinfo=UTC)
    assert (first.end - first.start).total_seconds() / 60 + 1 == 120 * 1440


async def test_escape_sends_nothing(console: MakeConsole):
    assert await sent(console("empty", screen="data"), "c", "escape") == []


async def test_a_wrong_field_keeps_the_dialog_open(console: MakeConsole):
    made = console("empty", screen="data")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("down", "x", "enter")
        await pilot.pause()
        assert made.engine.sent == []
        assert type(made.app.screen).__name__ == "Dialog"


async def test_fetch_names_source_coins_and_start(console: MakeConsole):
    commands = await sent(console("empty", screen="data"), "f", "enter")
    assert [type(command) for command in commands] == [FetchCandles] * 3
    assert [command.symbol for command in commands] == ["BTC-USD", "ETH-USD", "BNB-USD"]
    first = commands[0].payload()
    assert (first["provider"], first["exchange"], first["end"], first["replace"]) == (
        "ccxt", "binance", None, False,
    )  # fmt: skip
    assert commands[0].start == datetime(2025, 7, 15, tzinfo=UTC)


async def test_fetch_of_coins_that_are_there_goes_on_where_they_end(console: MakeConsole):
    story = STATES["full"]()
    fetched = [
        replace(data, synthetic=False, market=None, provider="ccxt", exchange="kraken", market_symbol="X/USD")
        for data in story.datasets[:2]
    ]
    made = console(replace(story, datasets=(*fetched, story.datasets[2])), screen="data")
    commands = await sent(made, "f", "enter")
    assert [(command.symbol, command.exchange, command.start) for command in commands] == [
        ("BTC-USD", "kraken", None), ("ETH-USD", "kraken", None),
    ]  # fmt: skip


async def test_the_settings_provider_decides_what_the_candle_phase_asks(console: MakeConsole):
    story = replace(STATES["empty"](), provider="ccxt", exchange="coinbase")
    commands = await sent(console(story, screen="overview"), "c", "enter")
    assert [(command.provider, command.exchange) for command in commands] == [("ccxt", "coinbase")] * 3


async def test_run_all_says_what_it_works_on(console: MakeConsole):
    story = replace(STATES["working"](), provider="ccxt", exchange="kraken")
    made = console(story, screen="overview")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("N")
        await pilot.pause()
        assert made.app.screen.texts[0].startswith(
            "The quick workload on fetched candles of kraken: candles,"
        )


async def test_yahoo_has_no_exchange_and_a_wrong_day_keeps_the_dialog_open(console: MakeConsole):
    rub = ["backspace"] * 10
    keys = ["f", *rub, *"yfinance", "down", "down", "down", *rub, *"soon", "enter"]
    assert await sent(console("empty", screen="data"), *keys) == []
    keys = [*keys[:-1], *rub, *"2025-11-01", "enter"]
    commands = await sent(console("empty", screen="data"), *keys)
    assert [(command.provider, command.exchange) for command in commands] == [("yfinance", None)] * 3
    assert commands[0].start == datetime(2025, 11, 1, tzinfo=UTC)


async def test_import_names_file_and_coin(console: MakeConsole):
    (command,) = await sent(console("empty", screen="data"), "i", *"/p.csv", "enter")
    assert isinstance(command, ImportCandles)
    assert (command.file, command.symbol) == ("/p.csv", "BTC-USD")


async def test_build_features_of_every_coin(console: MakeConsole):
    commands = await sent(console("full", screen="features"), "b")
    assert [type(command) for command in commands] == [BuildFeatures] * 3
    assert [command.symbol for command in commands] == ["BTC-USD", "ETH-USD", "BNB-USD"]


async def test_check_features_of_the_shown_coin(console: MakeConsole):
    (command,) = await sent(console("full", screen="features"), "c")
    assert command.payload() == CheckFeatures(**_issued(command), symbol="BTC-USD").payload()


async def test_train_asks_for_coin_epochs_and_seed(console: MakeConsole):
    made = console("full", screen="training")
    (command,) = await sent(made, "right_square_bracket", "t", "enter")
    assert isinstance(command, StartTraining)
    assert (command.model, command.epochs, command.seed, command.fresh) == ("lstm_BNB-USD", 10, 7, False)


async def test_cancel_asks_and_names_the_job(console: MakeConsole):
    (command,) = await sent(console("full", screen="training"), "x", "enter")
    assert isinstance(command, CancelJob)
    assert command.job_id == "job-17"


async def test_cancel_takes_the_job_under_the_cursor(console: MakeConsole):
    (command,) = await sent(console("working"), "tab", "j", "x", "enter")
    assert command.job_id == "job-5"


async def test_resume_goes_on_with_the_failed_run(console: MakeConsole):
    (command,) = await sent(console("failed", screen="training"), "r")
    assert isinstance(command, ResumeJob)
    assert command.job_id == "job-17"


async def test_evaluate_states_the_attempt_first(console: MakeConsole):
    made = console("full", screen="gates")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("v")
        await pilot.pause()
        panel = "\n".join(line.text for line in made.app.screen.query_one("#panel").lines)
        assert "attempt 3 on this test data, α 0.0034" in panel
        assert made.engine.sent == []
        await pilot.press("enter")
        await pilot.pause()
    (command,) = made.engine.sent
    assert isinstance(command, Evaluate)
    assert command.model == "lstm_BNB-USD"


PROMOTE = ("right_square_bracket", "right_square_bracket", "p")


async def test_promote_needs_the_very_name(console: MakeConsole):
    made = console("full", screen="gates")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press(*PROMOTE)
        await pilot.pause()
        await pilot.press(*"lstm_ETH-US", "enter")
        await pilot.pause()
        assert made.engine.sent == []
        await pilot.press("D", "enter")
        await pilot.pause()
    (command,) = made.engine.sent
    assert isinstance(command, Promote)
    assert (command.model, command.version) == ("lstm_ETH-USD", "v1.1.0")


async def test_there_is_no_way_to_promote_what_a_gate_refuses(console: MakeConsole):
    made = console("full", screen="gates")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        view = made.app.screen.current
        assert view.item == "lstm_BNB-USD"
        assert "promote" not in [key.action for key in view.keys]
        await pilot.press("p")
        await made.app.screen.perform("promote")
        await pilot.pause()
    assert made.engine.sent == []


async def test_roll_back_needs_the_version(console: MakeConsole):
    snapshot = STATES["full"]()
    first = replace(snapshot.evaluations[0], version="v1.1.0", live_version="v1.1.0", rollback_to="v1.0.0")
    made = console(replace(snapshot, evaluations=(first, *snapshot.evaluations[1:])), screen="gates")
    (command,) = await sent(made, "right_square_bracket", "b", *"v1.0.0", "enter")
    assert isinstance(command, Rollback)
    assert (command.model, command.version) == ("lstm_BTC-USD", "v1.0.0")


def test_a_change_of_a_live_model_names_the_hours_it_gives_up():
    def words(seen):
        return clock_text(SimpleNamespace(snapshot=replace(STATES["full"](), observation=seen)))

    running = ObservationView(state="running", continuous_s=54 * 3600 + 240)
    assert words(running) == ("! The observation clock restarts: 54:04 h are given up.",)
    assert words(None) == words(ObservationView()) == words(replace(running, state="ended")) == ()


async def test_verify(console: MakeConsole):
    (candles,) = await sent(console("full", screen="data"), "j", "v")
    assert isinstance(candles, VerifyCandles)
    assert candles.symbol == "ETH-USD"
    (models,) = await sent(console("full", screen="models"), "v")
    assert isinstance(models, VerifyModels)


async def test_next_step_of_a_refused_gate_is_training_again(console: MakeConsole):
    snapshot = STATES["full"]()
    done = replace(snapshot.phases[2], state="done")
    made = console(replace(snapshot, jobs=(), phases=(*snapshot.phases[:2], done, *snapshot.phases[3:])))
    (command,) = await sent(made, "n", "enter")
    assert isinstance(command, StartTraining)
    assert command.model == "lstm_BNB-USD"


async def test_run_all_asks_first(console: MakeConsole):
    assert await sent(console("full"), "N", "escape") == []
    (command,) = await sent(console("full"), "N", "enter")
    assert isinstance(command, RunPipeline)


@pytest.mark.parametrize("keys", [("n",), ("c", "enter")])
async def test_read_only_is_refused_by_the_engine(console: MakeConsole, keys: tuple[str, ...]):
    made = console("empty", read_only=True)
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert "read-only" in made.app.screen.query_one("#toast").lines[0].text
    assert made.engine.sent == []


def _issued(command):
    return {"sender": command.sender, "surface": command.surface, "issued_at": command.issued_at}
