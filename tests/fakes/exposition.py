"""A strict reader of the Prometheus exposition format 0.0.4: whatever a lenient one forgives is an error."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?)|NaN|[+-]Inf")
KINDS = {"counter", "gauge", "histogram"}
ESCAPES = {"\\": "\\", "n": "\n", '"': '"'}


@dataclass
class Parsed:
    """One family with its samples, in their order."""

    name: str
    text: str
    kind: str = ""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def value(self, suffix: str = "", **labels: str) -> float:
        """The one sample with these labels."""
        return self.samples[(self.name + suffix, tuple(sorted(labels.items())))]


def parse(text: str) -> dict[str, Parsed]:
    """Families by name. Raises AssertionError for anything the format does not allow."""
    assert text.endswith("\n"), "the last line ends with a newline"
    assert "\r" not in text
    families: dict[str, Parsed] = {}
    current: Parsed | None = None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line.removeprefix("# HELP ").partition(" ")
            assert NAME.fullmatch(name), line
            assert name not in families, f"{name} comes twice"
            current = families[name] = Parsed(name, _unescape(words, "\\n"))
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert current is not None, line
            assert (name, current.kind, current.samples) == (current.name, "", {}), line
            assert kind in KINDS, line
            current.kind = kind
        else:
            assert current is not None, line
            assert current.kind, line
            _sample(current, line)
    for family in families.values():
        _check(family)
    return families


def _sample(family: Parsed, line: str) -> None:
    match = NAME.match(line)
    assert match, line
    labels, rest = _labels(line[match.end() :])
    assert rest.startswith(" "), line
    assert NUMBER.fullmatch(rest[1:]), line
    key = (match[0], tuple(sorted(labels.items())))
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert match[0] in {family.name + suffix for suffix in suffixes}, line
    assert key not in family.samples, f"{line} comes twice"
    family.samples[key] = float(rest[1:])


def _labels(text: str) -> tuple[dict[str, str], str]:
    if not text.startswith("{"):
        return {}, text
    labels: dict[str, str] = {}
    text = text[1:]
    while True:
        match = LABEL.match(text)
        assert match, text
        assert match[0] not in labels, text
        text = text[match.end() :]
        assert text.startswith('="'), text
        value, text = _quoted(text[2:])
        labels[match[0]] = value
        if text.startswith("}"):
            return labels, text[1:]
        assert text.startswith(","), text
        text = text[1:]


def _quoted(text: str) -> tuple[str, str]:
    out, place = "", 0
    while text[place] != '"':
        if text[place] == "\\":
            place += 1
            assert text[place] in ESCAPES, text
            out += ESCAPES[text[place]]
        else:
            out += text[place]
        place += 1
    return out, text[place + 1 :]


def _unescape(text: str, allowed: str) -> str:
    out, place = "", 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
            assert text[place] in allowed, text
            out += ESCAPES[text[place]]
        else:
            out += text[place]
        place += 1
    return out


def _check(family: Parsed) -> None:
    assert family.kind, f"{family.name} has no type"
    if family.kind == "counter":
        assert family.name.endswith("_total"), family.name
        assert all(value >= 0 for value in family.samples.values()), family.name
    if family.kind == "histogram":
        _check_histogram(family)


def _check_histogram(family: Parsed) -> None:
    buckets = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in family.samples.items()
        if name.endswith("_bucket")
    ]
    bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
    assert bounds == sorted(set(bounds)), family.name
    assert counts == sorted(counts), f"{family.name} is not cumulative"
    assert math.isinf(bounds[-1]), family.name
    assert counts[-1] == family.value("_count"), family.name
    assert family.value("_sum") >= 0, family.name
