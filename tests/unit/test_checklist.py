"""The parts of the checklist that need no processes: what it counts, what it copies, what it says."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.core.clock import RealClock, SimulatedClock
from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.files import write_json
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import env_text, load_settings
from tradingai.engine.queries.checklist_views import (
    ITEMS,
    ChecklistItem,
    ChecklistView,
    LiveState,
    newest_checklist,
)
from tradingai.engine.risk.costs import SESSIONS
from tradingai.rehearsals import bot, costs
from tradingai.rehearsals.chat import Answer
from tradingai.rehearsals.checklist import chosen_items
from tradingai.rehearsals.copies import LiveWatch, clean_environment, isolated_settings, make_copy
from tradingai.rehearsals.evidence import live_words, markdown, verdict
from tradingai.rehearsals.rates import most_within
from tradingai.rehearsals.stage import Finding, Stage

from tests.fakes.bot_api import TOKEN, bot_api
from tests.fakes.homes import new_home, plain_settings

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
SAME = LiveState(unchanged=True, compared=("models/registry.json",))


@given(st.lists(st.integers(0, 500)), st.integers(1, 100))
def test_the_most_within_any_window(times, window):
    times.sort()
    slow = max((sum(start <= time < start + window for time in times) for start in times), default=0)
    assert most_within(times, window) == slow


# ------------------------------------------------------------------------------- documents


def item(name: str, *, passed: bool = True, **more) -> ChecklistItem:
    return ChecklistItem(name, ITEMS[name], passed, "found | something", command="again", **more)


def view(*items: ChecklistItem, asked=None, live=SAME, ended=NOW) -> ChecklistView:
    names = tuple(one.id for one in items) if asked is None else asked
    return ChecklistView("reports/checklist/x", NOW, ended, names, items, live, "c0de")


def test_it_passes_only_whole_and_with_the_live_state_as_it_was():
    everything = view(*(item(name) for name in ITEMS))
    assert everything.passed
    assert everything.whole
    assert verdict(everything) == "PASSED: 7 of 7 items"
    one = view(item("costs"))
    assert one.passed
    assert not one.whole
    assert verdict(one) == "PASSED: 1 of 1 items (1 of 7 items were asked for)"
    for other in (
        view(item("costs", passed=False)),
        view(item("costs"), asked=("costs", "bot")),
        view(item("costs"), ended=None),
        view(item("costs"), live=None),
        view(item("costs"), live=replace(SAME, unchanged=False, changed=("tradingai.db",))),
    ):
        assert not other.passed
        assert not verdict(other).startswith("PASSED")
    moved = view(item("costs"), live=replace(SAME, unchanged=False, changed=("tradingai.db",)))
    assert "the live home changed meanwhile: tradingai.db. " in verdict(moved)
    assert "CUT OFF after 1 of 2" in verdict(view(item("costs"), asked=("costs", "bot"), ended=None))


def test_document_and_markdown_say_the_same(tmp_path):
    whole = view(
        item("bot", measured={"longest_s": 0.25, "by": {"help": 1}}, steps=("asked",), seconds=1.5),
        item("costs", passed=False, remedy="measure", not_rehearsed=("nothing",)),
    )
    assert ChecklistView.from_json(whole.as_json()) == whole
    text = markdown(whole)
    for words in (
        "NOT PASSED: 1 of 2 items",
        "| bot answers within 5 s | pass | found \\| something |",
        "| longest_s | 0.25 |",
        "| by.help | 1 |",
        "- asked",
        "What to do: measure",
        "Not rehearsed:",
        "Again: `again` (1.5 s)",
        "byte-identical (1 files and links hashed before and after)",
    ):
        assert words in text
    paths = HomePaths(tmp_path)
    assert newest_checklist(paths) is None
    write_json(paths.checklists / "2026-03-04T12-00-00Z" / "checklist.json", whole.as_json())
    later = replace(whole, code="later")
    write_json(paths.checklists / "2026-03-04T12-00-01Z" / "checklist.json", later.as_json())
    assert newest_checklist(paths) == later
    write_json(paths.checklists / "2026-03-04T12-00-02Z" / "checklist.json", {"items": 1})
    with pytest.raises(ArtifactError, match="no checklist"):
        newest_checklist(paths)


def test_live_state_in_words():
    assert live_words(view(live=None)) == "Live state: not compared"
    changed = replace(SAME, unchanged=False, changed=("a",), left_out="b")
    assert live_words(view(live=changed)) == (
        "Live state: CHANGED: a (1 files and links hashed before and after; not compared: b)"
    )


def test_items_come_in_their_order():
    assert chosen_items([]) == tuple(ITEMS)
    assert chosen_items(["costs", "rollback"]) == ("rollback", "costs")
    with pytest.raises(UsageError, match="'kill' is no item"):
        chosen_items(["kill"])


# ------------------------------------------------------------------------------- isolated homes


def test_nothing_leads_out_of_an_isolated_home(tmp_path):
    outside = plain_settings(
        db_url="sqlite:////elsewhere/live.db", kill_switch=True, telegram_chat_id=5, metrics_port=9100,
        telegram_allowed_users=(5,), max_signals_per_hour=7, ensemble_weights=(0.2, 0.5, 0.3),
    )  # fmt: skip
    inside = isolated_settings(outside)
    assert inside.database_path(tmp_path) == tmp_path / "tradingai.db"
    assert (inside.kill_switch, inside.alert_chat, inside.metrics_port) == (False, None, 0)
    assert (inside.telegram_chat_id, inside.telegram_allowed_users) == (None, ())
    assert inside.settings_hash() == outside.settings_hash()
    (tmp_path / ".env").write_text(env_text(inside))
    assert load_settings(tmp_path) == inside
    assert "TELEGRAM_TOKEN" not in env_text(inside)


def test_the_environment_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("KILL_SWITCH", "true")
    monkeypatch.setenv("db_url", "sqlite:////elsewhere/live.db")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    before = dict(os.environ)
    with clean_environment() as left:
        assert not {"KILL_SWITCH", "db_url", "NOTIFY_SOCKET"} & set(os.environ)
        assert left == dict(os.environ)
    assert dict(os.environ) == before


def test_a_home_without_promoted_models_is_not_copied(tmp_path):
    paths = new_home(tmp_path / "home")
    with pytest.raises(MissingError, match="no model is promoted") as found:
        make_copy(paths, tmp_path / "copy", plain_settings(), RealClock())
    assert "tradingai pipeline" in found.value.remedy
    assert not (tmp_path / "copy").exists()


def test_every_change_of_the_live_state_is_seen(tmp_path):
    paths = new_home(tmp_path)
    database = tmp_path / "tradingai.db"
    files = [
        database, paths.env_file, paths.ledger, paths.data / "execution_metrics.json",
        paths.candles / "BTC-USD" / "2025.parquet", paths.versions / "m" / "v1.0.0" / "model.pt",
    ]  # fmt: skip
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("before")
    link = paths.promoted / "m"
    link.symlink_to("../versions/m/v1.0.0")
    assert LiveWatch(paths, database).compare().unchanged
    for file in files:
        watch = LiveWatch(paths, database)
        text = file.read_text()
        file.write_text(text + "!")
        found = watch.compare()
        assert (found.unchanged, found.changed) == (False, (str(file.relative_to(tmp_path)),))
        file.unlink()
        assert not watch.compare().unchanged
        file.write_text(text)
        assert watch.compare().unchanged
    watch = LiveWatch(paths, database)
    link.unlink()
    link.symlink_to("../versions/m/v1.1.0")
    assert watch.compare().changed == ("models/promoted/m (link)",)


# ------------------------------------------------------------------------------- execution costs


def stage(home: Path, **settings) -> Stage:
    return Stage(
        "costs", HomePaths(home), plain_settings(**settings), SimulatedClock(NOW), home / "evidence",
        lambda _text: None, {},
    )  # fmt: skip


def measured(at: object, symbols=("BTC-USD",), sessions=SESSIONS) -> dict[str, object]:
    level = {"mean": 1.0, "p50": 1.0, "p90": 2.0, "samples": 9}
    cell = {"spread_bps": level, "slippage_bps": level}
    pairs = {symbol: dict.fromkeys(sessions, cell) for symbol in symbols}
    return {"schema": 1, "source": "ccxt binance", "measured_at": at, "pairs": pairs}


async def judged(tmp_path: Path, document: object, symbols=("BTC-USD",)) -> Finding:
    if document is not None:
        write_json(tmp_path / "data" / "execution_metrics.json", document)
    return await costs.rehearse(stage(tmp_path, symbols=symbols))


async def test_costs_that_are_defaults_do_not_pass(tmp_path):
    found = await judged(tmp_path, None)
    assert not found.passed
    assert found.failures == ["not measured: spread 12 bps and slippage 3 bps are the settings' defaults"]
    assert "tradingai execution measure" in found.remedy


@pytest.mark.parametrize(
    ("days", "failure"),
    [
        (0, ""),
        (30, ""),
        (30.1, "measured 30 days ago"),
        (400, "measured 400 days ago"),
        (-1, "in the future"),
    ],
)
async def test_costs_have_to_be_recent(tmp_path, days, failure):
    found = await judged(tmp_path, measured((NOW - timedelta(days=days)).isoformat()))
    assert found.passed == (not failure)
    assert failure in " ".join(found.failures)
    assert found.measured["age_days"] == pytest.approx(days)


@pytest.mark.parametrize("at", [None, "yesterday", "2026-03-04T12:00:00"])
async def test_costs_of_an_unknown_time_do_not_pass(tmp_path, at):
    found = await judged(tmp_path, measured(at))
    assert "nobody knows when" in found.failures[0]


async def test_every_pair_and_session_has_to_be_measured(tmp_path):
    found = await judged(
        tmp_path, measured(NOW.isoformat(), sessions=("tokyo", "london")), ("BTC-USD", "ETH-USD")
    )
    (failure,) = found.failures
    assert failure == (
        "not measured, so that defaults hold: BTC-USD spread (new york), BTC-USD slippage (new york), "
        "ETH-USD spread, ETH-USD slippage"
    )
    assert found.measured["measured_cells"] == "4 of 12"


async def test_a_slippage_nobody_measured_does_not_pass(tmp_path):
    document = measured(NOW.isoformat())
    for cell in document["pairs"]["BTC-USD"].values():
        cell["slippage_bps"] = None
    found = await judged(tmp_path, document)
    assert found.failures == ["not measured, so that defaults hold: BTC-USD slippage"]


async def test_damaged_costs_raise(tmp_path):
    with pytest.raises(ArtifactError):
        await judged(tmp_path, {"schema": 1, "pairs": {"BTC-USD": {"mars": {}}}})


# ------------------------------------------------------------------------------- the bot's answers


def answers(**seconds) -> dict[str, list[Answer | None]]:
    return {
        name: [None if one is None else Answer("fine", one) for one in found]
        for name, found in seconds.items()
    }


@pytest.mark.parametrize(
    ("found", "failures"),
    [
        (answers(check=[0.1, 5.0], help=[0.2, 0.3]), []),
        (answers(check=[0.1, 5.1]), ["/check: answered after 5.1 s"]),
        (answers(check=[0.1], help=[None, 0.2]), ["/help: 1 of 2 questions were not answered"]),
        ({"check": [Answer("busy: it took too long", 4.0)]}, ["/check: busy: it took too long"]),
    ],
)  # fmt: skip
def test_an_answer_has_to_come_in_time_and_say_something(found, failures):
    finding = Finding()
    bot.judge(finding, found, 70)
    assert finding.failures == failures
    assert finding.measured["scans_meanwhile"] == 50


async def test_a_message_to_the_real_chat_is_measured(tmp_path):
    with bot_api() as api:
        finding = Finding()
        await bot.real_round_trip(
            replace(stage(tmp_path), settings=api.settings(), clock=RealClock()), finding
        )
        assert (finding.failures, len(api.arrived)) == ([], 1)
        assert 0 < finding.measured["real_message_s"] < bot.LIMIT_S
        api.script.append("blocked")
        refused = Finding()
        await bot.real_round_trip(
            replace(stage(tmp_path), settings=api.settings(), clock=RealClock()), refused
        )
        assert "not delivered to chat 42" in refused.failures[0]
        assert TOKEN not in refused.failures[0]
        assert api.odd == []
