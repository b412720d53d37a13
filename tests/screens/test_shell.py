"""The shell: moving, filtering, sorting, copying, exporting, themes, quitting, resizing."""

from __future__ import annotations

import csv
from dataclasses import replace

from tradingai.engine.core.commands import Replay
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.screens.memory import Memory, recall, remember
from tradingai.widgets.header import MODES
from tradingai.widgets.lineview import LineView
from tradingai.widgets.palette import DARK_THEME, LIGHT_THEME

from tests.fakes.console_runs import job
from tests.fakes.console_story import STATES
from tests.screens.conftest import SCREENS, MakeConsole

SIZE = (80, 24)


def shown(app) -> list[str]:
    """The rows of the visible screen."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


async def test_number_keys_switch_screens(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        for mode in MODES:
            await pilot.press(mode.key)
            await pilot.pause()
            assert made.app.current_mode == mode.id
            assert mode.short in shown(made.app)[1]


async def test_a_hundred_switches_leave_ten_screens(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        for _ in range(10):
            for mode in MODES:
                await made.app.go(mode.id)
        await pilot.pause()
        assert sum(len(stack) for stack in made.app._screen_stacks.values()) <= len(SCREENS) + 1


async def test_every_size_is_drawn_without_running_over(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        for size, key in (
            ((72, 18), "4"),
            ((100, 30), "2"),
            ((141, 48), "5"),
            ((40, 10), "1"),
            ((80, 24), "0"),
        ):
            await pilot.resize_terminal(*size)
            await pilot.press(key)
            await pilot.pause()
            while made.app.screen.size != size or made.app.screen.current is None:
                await pilot.pause(0.02)
            strips = made.app.screen._compositor.render_strips()
            assert len(strips) == size[1]
            assert {strip.cell_length for strip in strips} == {size[0]}


async def test_a_terminal_that_is_too_small_asks_for_room(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        assert any("TradingAI needs 72 × 18; this is 60 × 12." in row for row in shown(made.app))


async def test_filter_is_typed_and_gives_the_keys_back(console: MakeConsole):
    made = console("full", screen="features")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("slash", *"rsi_14", "enter")
        await pilot.pause()
        assert [row.key for row in made.app.screen.table().rows] == ["tf_1h_rsi_14", "rsi_14"]
        assert any("filter rsi_14, " in row for row in shown(made.app))
        await pilot.press("2")
        await pilot.pause()
        assert made.app.current_mode == "data"
        await pilot.press("3", "escape")
        await pilot.pause()
        assert len(made.app.screen.table().rows) == 11


async def test_digits_belong_to_the_filter_while_it_is_typed(console: MakeConsole):
    made = console("full", screen="features")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("slash", "1", "4")
        await pilot.pause()
        assert made.app.current_mode == "features"
        assert made.app.screen.selection.filter == "14"
        await pilot.press("escape")
        await pilot.pause()
        assert made.app.screen.selection.filter == ""


async def test_sort_goes_through_the_orders(console: MakeConsole):
    made = console("full", screen="features")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert made.app.screen.table().rows[0].key == "rv_1440"
        await pilot.press("s")
        await pilot.pause()
        assert made.app.screen.table().rows[0].key == "bb_pct_b_20_2"
        await pilot.press("s", "s")
        await pilot.pause()
        assert made.app.screen.table().rows[0].key == "rv_1440"


async def test_move_first_last(console: MakeConsole):
    made = console("full", screen="models")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("j", "j", "k")
        assert made.app.screen.row().key == "6"
        await pilot.press("G")
        assert made.app.screen.row().key == "1"
        await pilot.press("g")
        assert made.app.screen.row().key == "7"


async def test_copy_gives_the_whole_row(console: MakeConsole):
    made = console("full", screen="models")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("y")
        await pilot.pause()
        assert made.app.clipboard.split("\t")[7].startswith("b41e90d755c2")
        assert made.engine.notes[0][0].startswith("Copied: 7")


async def test_export_writes_the_filtered_rows(console: MakeConsole):
    made = console("full", screen="features")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("slash", *"rsi", "enter", "e")
        await pilot.pause()
    (path,) = (made.app.root / "reports" / "console").glob("features-features-*.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["name"] for row in rows] == ["tf_1h_rsi_14", "rsi_14"]
    assert float(rows[1]["value"]) == 61.24


async def test_read_only_exports_and_remembers_nothing(console: MakeConsole):
    made = console("full", screen="features", read_only=True)
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("e", "4")
        await pilot.pause()
        assert "READ-ONLY" in shown(made.app)[0]
    assert list(made.app.root.iterdir()) == []


async def test_screen_and_theme_are_remembered(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("4", "ctrl+t")
        await pilot.pause()
    assert recall(made.app.root) == Memory("training", LIGHT_THEME)


def test_a_damaged_memory_is_the_default(tmp_path):
    assert recall(tmp_path) == Memory("overview", DARK_THEME)
    (tmp_path / "console.json").write_text('{"screen": 7, "theme": "solarized"}')
    assert recall(tmp_path) == Memory("overview", DARK_THEME)
    (tmp_path / "console.json").write_text("{")
    assert recall(tmp_path) == Memory("overview", DARK_THEME)


def test_a_home_without_write_permission_loses_only_the_memory(tmp_path):
    remember(tmp_path / "file" / "below", Memory())
    (tmp_path / "file2").write_text("")
    remember(tmp_path / "file2", Memory())


async def test_quit_without_jobs_leaves_at_once(console: MakeConsole):
    made = console("empty")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert made.engine.closed >= 1
    assert made.app.return_value == 0


async def test_quit_with_jobs_asks_and_then_closes_the_engine(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("q", "escape")
        await pilot.pause()
        assert made.engine.closed == 0
        await pilot.press("q", "enter")
        await pilot.pause()
        assert made.engine.closed >= 1


async def test_quit_does_not_ask_for_another_engines_jobs(console: MakeConsole):
    snapshot = STATES["full"]()
    header = replace(snapshot.header, engine="attached")
    made = console(replace(snapshot, header=header, loop=replace(snapshot.loop, state="elsewhere")))
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert made.engine.closed >= 1


async def test_what_ended_in_the_background_is_a_toast_and_a_note(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        made.engine.messages.append(("The pipeline ran to its end.", "info"))
        made.app._poll()
        await pilot.pause()
        assert any("The pipeline ran to its end." in row for row in shown(made.app))
        assert made.engine.notes == [("The pipeline ran to its end.", "info")]


async def test_a_new_picture_is_shown_and_an_old_one_is_not_painted_again(console: MakeConsole):
    made = console("empty")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        painted = []
        screen = made.app.screen
        original = screen.paint
        screen.paint = lambda **more: (painted.append(1), original(**more))
        made.app._poll()
        assert painted == []
        made.engine.become(STATES["full"]())
        made.app._poll()
        await pilot.pause()
        assert painted == [1]
        assert any("Gates refuse lstm_BNB-USD" in row for row in shown(made.app))


async def test_a_problem_leads_the_overview_and_the_log(console: MakeConsole):
    problem = Problem("the database is locked", "Stop what holds it; nothing is emitted until then.")
    made = console(replace(STATES["full"](), problem=problem))
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "the database is locked" in shown(made.app)[3]
        await pilot.press("0")
        await pilot.pause()
        assert "the database is locked" in shown(made.app)[3]
        assert any("nothing is emitted until then" in row for row in shown(made.app))


async def test_a_damaged_registry_leads_the_overview_when_its_toast_is_gone(console: MakeConsole):
    made = console(replace(STATES["full"](), ledger=STATES["failed"]().ledger))
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "The registry is damaged: 9 Models says what to do." in shown(made.app)[3]


async def test_the_palette_reaches_keys_and_screens(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+p", *"go to gates", "enter")
        await pilot.pause()
        assert made.app.current_mode == "gates"
        await pilot.press("ctrl+p", *"light", "enter")
        await pilot.pause()
        assert made.app.theme == LIGHT_THEME


async def test_clicks_reach_tabs_rows_and_keys(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.click(offset=(10, 1))
        await pilot.pause()
        assert made.app.current_mode == "data"
        await pilot.click(offset=(8, 8))
        await pilot.pause()
        assert made.app.screen.row().key == "BNB-USD"


async def test_every_action_of_every_key_exists(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        for mode in MODES:
            await pilot.press(mode.key)
            await pilot.pause()
            screen = made.app.screen
            for state in STATES.values():
                keys = screen.view(state(), screen.selection, screen.extent).keys
                for key in keys:
                    assert hasattr(screen, f"do_{key.action.partition(':')[0]}"), key


async def test_help_scrolls_through_all_keys_at_24_rows(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        first = "\n".join(shown(made.app))
        assert "Keys of Overview" in first
        assert "j k scroll, 1–" in first.replace("  ", " ")
        assert "Everywhere" not in first
        before = made.app.screen.row()
        await pilot.press("G")
        await pilot.pause()
        last = "\n".join(shown(made.app))
        assert "Everywhere" in last
        assert "Keys of Overview" not in last
        assert made.app.screen.row() == before, "the page moved under the help"
        await pilot.press("k", "g")
        await pilot.pause()
        assert "\n".join(shown(made.app)) == first


async def test_the_filter_on_gates_keeps_what_matches_and_says_so(console: MakeConsole):
    made = console("full", screen="gates")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.press("slash", *"calib", "enter")
        await pilot.pause()
        assert [row.key for row in made.app.screen.table().rows] == ["calibration"]
        assert any("Gates" in row and "filter calib" in row for row in shown(made.app))
        await pilot.press("escape")
        await pilot.pause()
        assert len(made.app.screen.table().rows) == 5


async def test_a_training_in_the_queue_says_that_it_waits(console: MakeConsole):
    waiting = job(90, "train", "lstm_BNB-USD", "queued", "12:04:00", started_at=None)
    snapshot = STATES["full"]()
    made = console(replace(snapshot, runs=(), jobs=(waiting, *snapshot.jobs)), screen="training")
    async with made.app.run_test(size=SIZE) as pilot:
        made.app.screen.choose("lstm_BNB-USD")
        await pilot.pause()
        assert "waits for a worker" in "\n".join(shown(made.app))


async def test_r_on_overview_asks_for_a_replay(console: MakeConsole):
    made = console("full")
    phases = tuple(
        replace(phase, state="next", key="r") if phase.id == "replay" else phase
        for phase in made.engine.picture.phases
    )
    made.engine.become(replace(made.engine.picture, phases=phases))
    async with made.app.run_test(size=SIZE) as pilot:
        made.app._poll()
        await pilot.press("r")
        await pilot.pause()
        assert any("Stored candles go through the scan loop" in row for row in shown(made.app))
        await pilot.press("enter")
        await pilot.pause()
    (command,) = made.engine.sent
    assert isinstance(command, Replay)
    assert command.hours == 72


async def test_a_resize_before_all_widgets_are_there_paints_nothing_and_ends_nothing(console: MakeConsole):
    made = console("full")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        screen = made.app.screen
        await screen.query_one("#toast").remove()
        before = screen.current
        made.engine.become(STATES["empty"]())
        made.app._take()
        screen.on_resize()
        assert screen.current is before, "a page was made of which a part is missing"
        await screen.mount(LineView(id="toast"))
        screen.on_resize()
        assert screen.current is not before
