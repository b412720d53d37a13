"""A field to type in that takes its keys in the order they were typed, however fast they come."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

_EDITING = ("delete_", "cursor_", "home", "end", "select_all")
"""Actions that belong between two letters."""


class TextEntry(Input):
    """Textual's field inserts a letter at once and lets a backspace travel to the app and back.

    Over a slow line several keys arrive together, and a number typed anew would lose its first digits: here
    both take effect at once. ``ctrl+c`` and ``enter`` go their usual way.
    """

    async def _on_key(self, event: events.Key) -> None:
        """Edit now what Textual would edit later; letters are the base class's, which Textual asks next."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.action.startswith(_EDITING):
                event.stop()
                event.prevent_default()
                await self.run_action(binding.action)
                return
