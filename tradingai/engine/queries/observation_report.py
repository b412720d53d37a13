"""What is written of an observation: one document, and its Markdown made from nothing but that document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final

from tradingai.engine.core.jsonio import parse_iso, plain
from tradingai.engine.queries.observation_criteria import final
from tradingai.engine.queries.observation_views import TIERS, ObservationView, crash_words, hours_words

SCHEMA: Final = 1
REPLAY: Final = "REPLAY"
SCALED: Final = "SCALED"
_TIER_WORDS: Final[Mapping[str, str]] = {
    "high": "high tier",
    "medium": "medium tier",
    "low": "low tier",
    "none": "below the tiers",
}
_STATES: Final[Mapping[str, str]] = {
    "holds": "✓ holds",
    "counting": "● counting",
    "short": "! short",
    "failed": "✗ failed",
    "open": "○ open",
    "insufficient": "! INSUFFICIENT",
}


def observation_document(view: ObservationView, at: datetime, *, day: str = "") -> dict[str, Any]:
    """The document of a day's snapshot (``day``), or of the summary, as JSON types.

    ``at`` is the moment it is about. A summary's verdict counts what is still to come as missing.
    """
    verdict = view.verdict if view.state == "ended" and view.verdict.word else final(view.criteria)
    labels = [*([REPLAY] if view.replay else []), *([SCALED] if view.scaled else [])]
    document: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "kind": "day" if day else "summary",
            "day": day or None,
            "labels": labels,
            "observation": view.id or None,
            "replay": view.replay or None,
            "at": at,
            "started_at": view.started_at,
            "by": view.by or None,
            "state": view.state,
            "verdict": {
                "word": " ".join([*labels, verdict.word]),
                "counts": not view.replay,
                "decided_by": verdict.decided_by,
                "text": verdict.text,
            },
            "clock": {
                "hours": view.continuous_hours,
                "required_hours": view.required_hours,
                "since": view.clock_started_at,
                "go_not_before": view.go_not_before,
                "crashes": view.crashes,
                "max_gap_s": view.max_gap_s,
            },
            "criteria": as_document(view.criteria),
            "restarts": as_document(view.restarts),
            "baseline": as_document(view.baseline),
            "observed": as_document(view.observed),
            "delivery": as_document(view.delivery),
            "approvals": as_document(view.approvals),
            "scaled": [{**as_document(one), "text": one.text} for one in view.scaled],
        }
    )
    return document


def as_document(value: Any) -> Any:
    """A view with everything in it as dictionaries and lists; times and numbers stay as they are."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: as_document(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_document(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [as_document(one) for one in value]
    return value


def as_markdown(document: Mapping[str, Any]) -> str:
    """The same for a person. Everything in it stands in the document."""
    return "\n".join([*_head(document), "", *_criteria(document), *_evidence(document), *_tail(document), ""])


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    verdict, clock = document["verdict"], document["clock"]
    name = document["observation"] or document["replay"]
    day = document["day"]
    what = f"so far: {verdict['word']}" if day else verdict["word"]
    yield f"# {day or 'Observation'}: {what}"
    yield ""
    yield f"{verdict['text']}"
    yield ""
    if document["replay"]:
        yield "**REPLAY: a replayed run on a simulated clock. It never counts as observation.**"
        yield ""
    if document["scaled"]:
        listed = ", ".join(f"`{one['text']}`" for one in document["scaled"])
        yield f"**SCALED: criteria that are not the product's: {listed}.**"
        yield ""
    yield f"- {'Run' if document['replay'] else 'Observation'} `{name}`, as of {_moment(document['at'])}"
    if document["started_at"]:
        by = f" by {document['by']}" if document["by"] else ""
        yield f"- Started {_moment(document['started_at'])}{by}"
    hours = f"{hours_words(3600 * clock['hours'])} of {hours_words(3600 * clock['required_hours'])} h"
    since = f", uninterrupted since {_moment(clock['since'])}" if clock["since"] else ""
    yield f"- Clock: {hours}{since}; {crash_words(clock['crashes'])}"


def _criteria(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Criteria"
    yield ""
    yield "| criterion | state | measured | demanded |"
    yield "|---|---|---|---|"
    for one in document["criteria"]:
        measured = ", ".join(part for part in (one["measured"], one["note"]) if part)
        yield f"| {one['title']} | {_STATES[one['state']]} | {measured} | {one['threshold']} |"
    yield ""
    yield "## Evidence"
    for one in document["criteria"]:
        yield ""
        yield f"**{one['title']}**: {_cells(one['evidence']) or '–'}."
        yield f"Again: `{one['command']}`"
    yield ""


def _evidence(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Restarts of the clock"
    yield ""
    if not document["restarts"]:
        yield "None."
    for one in document["restarts"]:
        yield (
            f"- {_moment(one['at'])}: {one['cause']}, {one['text']}; {one['hours_lost']:.2f} h before it do "
            "not count"
        )
    base, seen = document["baseline"], document["observed"]
    yield ""
    yield "## Against the baseline"
    yield ""
    yield "| | baseline | observed | difference |"
    yield "|---|---|---|---|"
    base_rate = None if base is None else base["win_rate"]
    off = _off(seen["win_rate"], base_rate)
    yield f"| win rate | {_share(base_rate)} | {_share(seen['win_rate'])} | {off} |"
    interval = "–" if seen["low"] is None else f"{_share(seen['low'])} to {_share(seen['high'])}"
    yield f"| 95 % interval | | {interval} | {seen['method']} |"
    yield f"| closed trades | {_count(base, 'trades')} | {seen['trades']:,} | |"
    for tier in TIERS:
        there = None if base is None else base["tiers"].get(tier, 0.0 if base["scored"] else None)
        here = seen["tiers"].get(tier, 0.0) if seen["scored"] else None
        yield f"| {_TIER_WORDS[tier]} | {_share(there)} | {_share(here)} | {_off(here, there)} |"
    yield f"| scored decisions | {_count(base, 'scored')} | {seen['scored']:,} | |"
    yield ""
    if base is not None:
        origin = "SYNTHETIC candles" if base["synthetic"] else "stored candles"
        yield (
            f"Baseline: run `{base['run']}` over {origin} from {_moment(base['start'])} to "
            f"{_moment(base['end'])}, threshold {base['threshold']:g}, a scan every {base['interval_s']:g} s."
        )
        yield f"Again: `{base['command']}`"
        yield ""


def _tail(document: Mapping[str, Any]) -> Iterator[str]:
    sent = document["delivery"]
    times = "" if sent["p50_s"] is None else f"; p50 {sent['p50_s']:.1f} s, p95 {sent['p95_s']:.1f} s"
    yield "## Telegram, the last 24 h"
    yield ""
    yield (
        f"{sent['delivered']:,} of {sent['total']:,} alerts delivered{times}; {sent['repeats']} repeats, "
        f"{sent['dead']} dead letters."
    )
    yield ""
    yield "## Approval"
    yield ""
    if not document["approvals"]:
        yield "None."
    for one in document["approvals"]:
        counts = "" if one["counts"] else " (does not count: the clock was restarted after it)"
        yield (
            f"- {_moment(one['at'])}: {one['who']} ({one['surface']}) typed {one['typed']} at "
            f"{one['hours']:.2f} h{counts}"
        )


def verdict_lines(document: Mapping[str, Any]) -> Sequence[str]:
    """The verdict and every criterion in a line each, for a terminal."""
    verdict = document["verdict"]
    lines = [f"{verdict['word']}: {verdict['text']}", ""]
    for one in document["criteria"]:
        measured = ", ".join(part for part in (one["measured"], one["note"]) if part)
        lines.append(f"  {_STATES[one['state']]:<16} {one['title']:<40} {measured}")
    return lines


def _cells(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".")


def _moment(text: str) -> str:
    return f"{parse_iso(text):%Y-%m-%d %H:%M:%SZ}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _off(value: float | None, base: float | None) -> str:
    return "–" if value is None or base is None else f"{100 * (value - base):+.1f} pt"


def _count(base: Mapping[str, Any] | None, name: str) -> str:
    return "–" if base is None else f"{base[name]:,}"
