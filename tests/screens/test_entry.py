"""Fields to type in: keys that arrive together, as over a slow line."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult
from tradingai.screens.dialog import Dialog, Field
from tradingai.widgets.entry import TextEntry


class Typed(App[None]):
    """One field."""

    def compose(self) -> ComposeResult:
        yield TextEntry(value="120", select_on_focus=False)


async def test_keys_take_effect_in_the_order_they_were_typed():
    app = Typed()
    async with app.run_test() as pilot:
        entry = app.query_one(TextEntry)
        entry.focus()
        await pilot.pause()
        for key, letter in (
            *[("backspace", "\x7f")] * 5,
            ("3", "3"),
            ("left", None),
            ("2", "2"),
            ("end", None),
        ):
            app.post_message(events.Key(key, letter))
        app.post_message(events.Key("4", "4"))
        await pilot.pause()
        assert entry.value == "234"


async def test_a_burst_goes_into_the_fields_it_was_typed_for():
    fields = (Field("coins", "coins", "BTC"), Field("days", "days", "120"), Field("seed", "seed", "7"))
    app: App[None] = App()
    async with app.run_test() as pilot:
        dialog = Dialog("Create", (), verb="create", fields=fields)
        await app.push_screen(dialog)
        await pilot.pause()
        burst = ("down", *["backspace"] * 4, *"2141", "down", "1", "up", "up", "X", "left", "-")
        for key in burst:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert dialog.values() == {"coins": "BTC-X", "days": "2141", "seed": "71"}


async def test_what_is_typed_after_the_answer_changes_nothing():
    app: App[None] = App()
    answers: list[object] = []
    async with app.run_test() as pilot:
        await app.push_screen(
            Dialog("Set", (), verb="set", fields=(Field("value", "value", "2"),)), answers.append
        )
        await pilot.pause()
        for key in ("enter", "0", "enter", "escape"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
    assert answers == [{"value": "2"}]
