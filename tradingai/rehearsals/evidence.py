"""A rehearsed checklist as Markdown: the same numbers as its JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tradingai.engine.core.jsonio import dumps, iso_z
from tradingai.engine.queries.checklist_views import ITEMS, ChecklistItem, ChecklistView


def verdict(view: ChecklistView) -> str:
    """In a sentence: what passed of what was asked."""
    done = sum(item.passed for item in view.items)
    asked = len(view.asked)
    rest = "" if view.whole else f" ({asked} of {len(ITEMS)} items were asked for)"
    if not view.complete:
        return f"CUT OFF after {len(view.items)} of {asked} items: it says nothing{rest}"
    if view.live_state is not None and not view.live_state.unchanged:
        changed = ", ".join(view.live_state.changed)
        return (
            f"NOT PASSED: the live home changed meanwhile: {changed}. Who wrote there nobody can tell: "
            f"rehearse again while nothing else does{rest}"
        )
    word = "PASSED" if view.passed else "NOT PASSED"
    return f"{word}: {done} of {asked} items{rest}"


def live_words(view: ChecklistView) -> str:
    """What became of the live home."""
    state = view.live_state
    if state is None:
        return "Live state: not compared"
    words = "byte-identical" if state.unchanged else f"CHANGED: {', '.join(state.changed)}"
    left_out = f"; not compared: {state.left_out}" if state.left_out else ""
    return f"Live state: {words} ({len(state.compared)} files and links hashed before and after{left_out})"


def markdown(view: ChecklistView) -> str:
    """The whole document."""
    lines = [
        "# Checklist before real money",
        "",
        verdict(view),
        "",
        f"- Started {iso_z(view.started_at)}, "
        + ("cut off" if view.ended_at is None else f"ended {iso_z(view.ended_at)}"),
        f"- Code {view.code}",
        f"- {live_words(view)}",
        "",
        "| item | result | what was found |",
        "|---|---|---|",
        *(f"| {item.title} | {_word(item)} | {_cell(item.summary)} |" for item in view.items),
    ]
    for item in view.items:
        lines += ["", *_section(item)]
    return "\n".join(lines) + "\n"


def _section(item: ChecklistItem) -> Iterator[str]:
    yield f"## {item.title}: {_word(item)}"
    yield ""
    yield item.summary
    if item.remedy:
        yield ""
        yield f"What to do: {item.remedy}"
    yield from _listed("Done", item.steps)
    yield from _listed("Not rehearsed", item.not_rehearsed)
    if item.measured:
        yield ""
        yield "| measured | value |"
        yield "|---|---|"
        yield from (f"| {name} | {_cell(text)} |" for name, text in _flat("", item.measured))
    yield ""
    yield f"Again: `{item.command}` ({item.seconds:.1f} s)"
    if item.look:
        yield f"Look: `{item.look}`"


def _listed(title: str, texts: tuple[str, ...]) -> Iterator[str]:
    if texts:
        yield ""
        yield f"{title}:"
        yield ""
        yield from (f"- {text}" for text in texts)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(f"{full}.", value)
        else:
            yield full, value if isinstance(value, str) else dumps(value)


def _word(item: ChecklistItem) -> str:
    return "pass" if item.passed else "FAIL"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
