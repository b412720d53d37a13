"""Views as pure functions: every screen, state and size, without a terminal."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.data import DataScreen, finding
from tradingai.screens.view import Extent, Selection
from tradingai.widgets.plot import Picture

from tests.fakes.console_home import at
from tests.fakes.console_runs import job
from tests.fakes.console_story import STATES
from tests.screens.conftest import SCREENS

SIZES = [(72, 18), (80, 24), (99, 29), (100, 30), (120, 40), (140, 40), (141, 48), (160, 48), (220, 60)]


def view_of(screen: str, state: str, size: tuple[int, int], selection: Selection | None = None):
    """The view of a screen, made twice to see that it is a function of its arguments alone."""
    module = import_module(f"tradingai.screens.{screen}")
    cls = getattr(module, f"{screen.title()}Screen")
    snapshot = STATES[state]()
    extent = Extent(*size, cls.SIDE_COLUMNS)
    chosen = selection or Selection()
    view = cls.view(None, snapshot, chosen, extent)
    assert view == cls.view(None, snapshot, chosen, extent)
    return view, extent


def text_of(view) -> str:
    """All that stands in headline, body and side panel."""
    lines = [view.headline, view.context, *view.side]
    for slot in view.slots:
        lines += slot.content.lines() if isinstance(slot.content, Picture) else slot.content
    return "\n".join(line.text for line in lines)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_runs_over_its_place(screen: str, size: tuple[int, int]):
    for state in STATES:
        view, extent = view_of(screen, state, size)
        assert view.headline.text.strip()
        assert view.headline.width <= (58 if extent.narrow else extent.width) + 12, view.headline.text
        for line in view.side:
            assert line.width <= extent.side_width, line.text
        for slot in view.slots:
            assert slot.x >= 0
            assert slot.x + slot.width <= extent.columns - extent.side
            assert slot.y + slot.height <= extent.height, (slot.id, state)
            if isinstance(slot.content, Picture):
                assert (slot.content.width, slot.content.height) == (slot.width, slot.height)
                continue
            assert len(slot.content) <= slot.height
            for line in slot.content:
                assert line.width <= slot.width - 2, (slot.id, line.text)


@pytest.mark.parametrize("screen", SCREENS)
def test_no_screen_is_ever_just_empty(screen: str):
    view, _ = view_of(screen, "empty", (80, 24))
    assert len(text_of(view).split()) >= 12


def test_keys_that_would_be_refused_are_left_out():
    view, _ = view_of("gates", "full", (80, 24))
    assert "promote" not in {key.action for key in view.keys}
    passed, _ = view_of("gates", "full", (80, 24), Selection(model="lstm_ETH-USD"))
    assert "promote" in {key.action for key in passed.keys}
    empty, _ = view_of("features", "empty", (80, 24))
    assert empty.keys == ()


MAIN_FACTS = {
    "overview": ("Candles", "done", "Gates", "refused", "lstm_BNB-USD: 4 of 5", "c", "58 %", "ETA 0:44"),
    "data": ("BTC-USD", "3,081,668", "2020-01-01", "2025-11-10", "✓ clean", "! 2 outliers"),
    "features": ("BNB-USD", "612 k rows/s", "5.0 s", "rv_1440", "! 0.13"),
    "training": ("lstm_ETH-USD", "epoch 6/10", "58 %", "0:44", "0.520", "74.7 %", "●", "11-12 09:20"),
    "gates": (
        "accuracy",
        "71.5 %",
        "≥ 68.0 %",
        "PASS",
        "calibration",
        "8.2 pt",
        "≤ 5.0 pt",
        "FAIL",
        "−3.2 pt",
    ),
    "models": ("v1.1.0", "lstm_ETH-USD", "● live", "✗ refused", "75.4 %", "c09e11d4"),
    "log": ("12:04:10", "EpochFinished", "lstm_ETH-USD 5/10 val 0.520 74.7 %", "412 events"),
}


@pytest.mark.parametrize("screen", MAIN_FACTS)
def test_eighty_columns_keep_the_main_facts(screen: str):
    view, _ = view_of(screen, "full", (80, 24))
    text = text_of(view)
    for fact in MAIN_FACTS[screen]:
        assert fact in text, fact


WORKING_FACTS = {
    "data": ("BNB-USD", "42 %", "1.2 M candles/s", "ETA 0:02"),
    "features": ("ETH-USD", "61 %", "598 k rows/s", "ETA 0:02"),
    "training": ("lstm_BTC-USD is in its first epoch", "epoch 1/10", "first epoch, 0:06 left", "1:38"),
    "gates": ("leakage battery 3 of 7", "3 of 7", "open", "split separation"),
}


@pytest.mark.parametrize("screen", WORKING_FACTS)
def test_work_in_progress_is_told(screen: str):
    view, _ = view_of(screen, "working", (80, 24))
    for fact in WORKING_FACTS[screen]:
        assert fact in text_of(view), fact


def fetched(state: str = "full") -> ConsoleSnapshot:
    """Two coins of an exchange; ``failed``: the fetch of one was stopped."""
    base = STATES["full"]()
    data = [
        replace(
            item, provider="ccxt", market=None, seed=None, generator="", synthetic=False, exchange="coinbase",
            market_symbol=f"{item.symbol[:3]}/USD",
        )
        for item in base.datasets[:2]
    ]  # fmt: skip
    stopped = job(
        9, "fetch", "ETH-USD", "failed", "12:00:11", ended_at=at("12:03:12"), took_s=181.0, resumable=True,
        message="fetch of ETH-USD stopped at 2023-04-11 05:00: coinbase answered 429, too many requests from "
        "this address and asks to wait 1,800 s. 1,712,880 fetched minutes are kept",
        remedy="Try again later; what was fetched is kept, and the same command goes on from there.",
    )  # fmt: skip
    jobs = (stopped,) if state == "failed" else ()
    return replace(base, datasets=tuple(data), jobs=jobs, synthetic="")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)], ids=str)
def test_fetched_candles_name_their_exchange(size: tuple[int, int]):
    view = DataScreen.view(None, fetched(), Selection(), Extent(*size, DataScreen.SIDE_COLUMNS))
    text = text_of(view)
    assert ("coinba" if size[0] == 80 else "BTC/USD") in text
    assert "SYNTHETIC" not in text
    assert "cycles" not in text
    assert {"create", "fetch", "import", "check"} <= {key.action for key in view.keys}
    if size[0] == 160:
        assert [row for row in text.splitlines() if "exchange" in row and "coinbase" in row]
        assert [row for row in text.splitlines() if row.strip().startswith("market") and "BTC/USD" in row]


def test_a_fetch_that_stopped_says_where_why_and_what_next():
    view = DataScreen.view(None, fetched("failed"), Selection(), Extent(80, 24, DataScreen.SIDE_COLUMNS))
    assert view.headline.text == "Fetch of ETH-USD stopped at 2023-04-11 05:00"
    text = " ".join(text_of(view).split())
    assert "why coinbase answered 429, too many requests from this address and asks to wait 1,800 s." in text
    assert "1,712,880 fetched minutes are kept" in text
    assert "next Try again later" in text
    assert {"resume", "fetch"} <= {key.action for key in view.keys}


FAILED_FACTS = {
    "overview": ("Candles failed", "name the columns time, open, high, low, close"),
    "data": ("prices.csv has no column close", "Name the columns time, open, high, low, close, volume."),
    "features": ("rv_1440 differs by 3e-4", "Free space and build again"),
    "training": ("out of memory at 4.1 GB", "Kept to epoch 5", "✗"),
    "gates": ("artifact b41e90d7 does not match its hash", "9 Models, then v verifies"),
    "models": ("The ledger is refused", "entry 6", "tradingai restore FILE", "v1.0.0"),
}


@pytest.mark.parametrize("screen", FAILED_FACTS)
def test_a_failure_says_what_and_what_next(screen: str):
    view, _ = view_of(screen, "failed", (80, 24))
    text = text_of(view).replace("\n", " ")
    for fact in FAILED_FACTS[screen]:
        assert fact.lower() in " ".join(text.split()).lower(), fact


def test_the_log_shows_levels_from_the_chosen_one_on():
    view, _ = view_of("log", "full", (80, 24), Selection(options={"level": "warning"}))
    assert [row.plain[3] for row in view.tables[0].rows] == ["warning"]


def test_the_log_follows_until_the_cursor_is_moved():
    view, _ = view_of("log", "full", (80, 24))
    assert view.tables[0].start == view.tables[0].rows[-1].key


def test_what_was_live_at_a_time():
    view, _ = view_of("models", "full", (80, 24), Selection(options={"at": "2025-11-10 05:52"}))
    text = text_of(view)
    assert "lstm_BTC-USD" in text
    assert "lstm_ETH-USD" not in text.split("Live at")[1]


def test_synthetic_results_say_so_on_every_screen():
    for screen in set(SCREENS) - {"log"}:
        view, _ = view_of(screen, "full", (120, 40))
        assert "SYNTHETIC cycles, seed 7" in view.context.text, screen


@pytest.mark.parametrize("columns", range(72, 201, 8))
def test_no_tier_is_cut_at_any_width(columns: int):
    view, _ = view_of("gates", "full", (columns, 40))
    text = text_of(view)
    assert "−8.2" in text
    assert not any(
        "…" in row for row in text.splitlines() if row.strip().startswith(("low", "medium", "high"))
    )
    assert "hitgap" not in text


@pytest.mark.parametrize("columns", [72, 76, 88, 100, 104, 112, 141, 148, 200])
@pytest.mark.parametrize("screen", SCREENS)
def test_no_head_and_no_number_of_a_table_is_cut_at_any_width(screen: str, columns: int):
    """What has no room is left out as a whole column."""
    for state in ("working", "full"):
        view, _ = view_of(screen, state, (columns, 40))
        lines = text_of(view).splitlines()
        for table in view.tables:
            titles = [column.title for column in table.columns if column.width and len(column.title) > 2]
            heads = [line for line in lines if sum(f" {title} " in f" {line} " for title in titles) > 2]
            assert not any("…" in line for line in heads), (state, table.id, heads)


def test_a_failed_imports_remedy_is_labelled_once_however_long_it_is():
    snapshot = STATES["failed"]()
    jobs = tuple(
        replace(job, remedy="Name the columns time, open, high, low, close and volume. " * 3)
        for job in snapshot.jobs
    )
    text = text_of(DataScreen.view(None, replace(snapshot, jobs=jobs), Selection(), Extent(80, 24)))
    assert text.count("next  ") == 1
    assert " ".join(text.split()).count("Name the columns") == 3


def test_one_finding_is_not_many():
    assert finding("outliers", 1) == "1 outlier"
    assert finding("stale runs", 2) == "2 stale runs"
    assert finding("filled", 1) == "1 filled"
