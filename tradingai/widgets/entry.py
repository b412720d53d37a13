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
        """Edit now what Textual would edit later."""
        if await self.take(event):
            event.stop()
            event.prevent_default()

    async def take(self, event: events.Key) -> bool:
        """Carry out a letter or an editing key at once; False for any other key."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.action.startswith(_EDITING):
                await self.run_action(binding.action)
                return True
        if not event.is_printable or event.character is None:
            return False
        if self.selection.is_empty:
            self.insert_text_at_cursor(event.character)
        else:
            self.replace(event.character, *self.selection)
        return True
