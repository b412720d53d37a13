"""The row of keys at the bottom, and the panel that lists all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tradingai.widgets.header import NORMAL_COLUMNS, WIDE_COLUMNS
from tradingai.widgets.line import BLANK, Line, Span, line, pad, wrap
from tradingai.widgets.section import Table, rule

HELP_COLUMNS: Final = 40
MOST_KEYS: Final = 6


class Key(NamedTuple):
    """A key of a screen: what is pressed, its word in the footer, what it does in the help, and the
    action.
    """

    key: str
    word: str
    help: str
    action: str
    footer: bool = True


COMMON_KEYS: Final = (
    ("0–9", "screens"),
    ("j k ↓ ↑", "down, up"),
    ("g G", "first, last row"),
    ("tab", "next section"),
    ("[ ]", "other coin or model"),
    ("enter", "open"),
    ("esc", "back, clear the filter"),
    ("/", "filter"),
    ("s", "sort"),
    ("y", "copy the row"),
    ("e", "export the rows as CSV"),
    ("x", "cancel the running job"),
    ("K", "kill switch, off asks"),
    ("^p", "all commands"),
    ("^t", "light or dark"),
    ("?", "this panel"),
    ("q", "quit"),
)

KEY_FACES: Final = {
    "enter": "↵",
    "escape": "esc",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "question_mark": "?",
    "ctrl+p": "^p",
    "brackets": "[ ]",
}


def face(key: str) -> str:
    """How a key is written."""
    return KEY_FACES.get(key, key)


def _row_keys(table: Table | None, taken: set[str]) -> list[tuple[str, str, str]]:
    """What can be done with the rows of a section: sort, copy, export."""
    if table is None or not table.rows:
        return []
    found = [("s", "sort", "sort")] if table.sorts else []
    if any(row.plain for row in table.rows):
        found += [("y", "copy row", "copy"), *([("e", "export CSV", "export")] if table.heads else [])]
    return [item for item in found if item[0] not in taken]


def footer_line(keys: Sequence[Key], width: int, *, table: Table | None) -> Line:
    """This screen's keys from the left, the common ones at the right; at most six of its own, fewer where
    they do not fit. What can be done with the rows of ``table``, the focused section, follows where there
    is room.
    """
    wide = width >= WIDE_COLUMNS
    gap = 3 if wide else 2
    common = [("question_mark", "keys", "help"), ("q", "quit", "quit")]
    if width >= NORMAL_COLUMNS:
        common.insert(1, ("ctrl+p", "commands", "palette"))
        if table is not None:
            common.insert(0, ("slash", "filter", "filter"))
    right = _row([(face(key), word, action) for key, word, action in common], gap)
    elsewhere = {key for key, _, _ in common}
    own = [item for item in keys if item.footer and item.key not in elsewhere]
    shown = [(face(item.key), item.word, item.action) for item in own[:MOST_KEYS]]
    extra = _row_keys(table, {item.key for item in own})
    shown += extra if wide else extra[: max(0, MOST_KEYS - len(shown))]
    inner = width - 2
    while shown and _row(shown, gap).width + right.width + 2 > inner:
        shown.pop()
    left = _row(shown, gap)
    return Line((*left.spans, pad(inner - left.width - right.width), *right.spans))


def _row(items: Sequence[tuple[str, str, str]], gap: int) -> Line:
    spans: list[Span] = []
    for index, (key, word, action) in enumerate(items):
        if index:
            spans.append(pad(gap))
        spans.append(Span(key, "blue+b", ("action", action)))
        spans.append(Span(f" {word}", "muted", ("action", action)))
    return Line(tuple(spans))


def help_lines(title: str, keys: Sequence[Key], height: int, top: int = 0) -> list[Line]:
    """The panel under ``?``: all keys of the screen, then those taken everywhere.

    Where they need more than ``height`` rows, those from ``top`` on are shown, and the last row says how
    to see the others.
    """
    width = HELP_COLUMNS - 4
    lines = _all_keys(title, keys, width)
    if len(lines) <= height:
        return lines
    room = height - 1
    top = min(max(0, top), help_scroll(title, keys, height))
    last = min(len(lines), top + room)
    more = line(Span("j k", "blue+b"), Span(f" scroll, {top + 1}–{last} of {len(lines)}", "muted"))
    return [*lines[top:last], more]


def help_scroll(title: str, keys: Sequence[Key], height: int) -> int:
    """How far the panel can be scrolled when it has ``height`` rows; 0 when everything fits."""
    total = len(_all_keys(title, keys, HELP_COLUMNS - 4))
    return 0 if total <= height else total - (height - 1)


def _all_keys(title: str, keys: Sequence[Key], width: int) -> list[Line]:
    own: list[Line] = []
    for item in keys:
        rows = wrap(item.help, width - 10) or [""]
        own.append(line(Span(f"{face(item.key):<8}", "blue+b", ("action", item.action)), pad(2), rows[0]))
        own.extend(line(pad(10), row) for row in rows[1:])
    everywhere = [line(Span(f"{key:<8}", "blue+b"), pad(2), Span(word, "muted")) for key, word in COMMON_KEYS]
    return [rule(f"Keys of {title}", "", width), *own, BLANK, rule("Everywhere", "", width), *everywhere]
