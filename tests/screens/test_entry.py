"""Fields to type in: keys that arrive together, as over a slow line."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult
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
