"""What the scans of a live run were decided with, and which of them did not come as they should.

The truth about models and threshold is what each decision was made with: a promotion that no scan used
changed nothing. Each run is read once; later calls read only what came after.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.observation_clock import Change
from tradingai.engine.queries.observation_views import Incident, IncidentKind

_DECIDED: Final = (
    "SELECT scan_seq, symbol, versions, threshold FROM decisions"
    " WHERE run_id = ? AND scan_seq > ? AND scan_seq <= ? ORDER BY scan_seq, place"
)
_SCANS: Final = (
    "SELECT seq, due, state, detail FROM scans WHERE run_id = ? AND seq > ? AND seq <= ? ORDER BY seq"
)
_CONFIGS: Final = (
    "SELECT number, after_scan, config FROM desk_changes WHERE run_id = ? AND number > ? ORDER BY number"
)
_MISSED: Final = 1.5
"""Scans whose times lie further apart than so many intervals had others between them."""
_NAMED: Final = 4
"""Numbers of an account that are named when they changed; of more it says how many."""


class Changed(NamedTuple):
    """The first scan that was decided with something else than the one before."""

    scan_seq: int
    change: Change


class RunHistory:
    """One live run's scans after number ``after``, read as far as asked."""

    def __init__(self, run_id: str, after: int) -> None:
        self._run = run_id
        self._seen = after
        self._config: tuple[int, Mapping[str, Any]] = (0, {})
        self._texts: dict[str, str] = {}
        self._due: datetime | None = None
        self.versions: dict[str, dict[str, str]] = {}
        """By coin the models that decided last, with their versions."""
        self.threshold: float | None = None
        """The one decided by last."""
        self.incidents: list[Incident] = []
        """Scans that came late, failed or fell out, oldest first."""

    @property
    def models(self) -> dict[str, str]:
        """All models that decided last, with their versions."""
        return {model: version for coin in self.versions.values() for model, version in coin.items()}

    def follow(
        self, connection: sqlite3.Connection, last: int, interval_s: float, max_gap_s: float
    ) -> list[Changed]:
        """Read up to scan ``last``; what changed on the way, in order."""
        if last <= self._seen:
            return []
        span = (self._run, self._seen, last)
        changed = [*self._configs(connection, last), *self._decisions(connection, span)]
        self._scans(connection, span, interval_s, max_gap_s)
        self._seen = last
        return sorted(changed, key=lambda one: one.scan_seq)

    def _decisions(self, connection: sqlite3.Connection, span: tuple[str, int, int]) -> Iterator[Changed]:
        for seq, symbol, text, threshold in connection.execute(_DECIDED, span):
            if threshold != self.threshold:
                if self.threshold is not None:
                    words = f"threshold {self.threshold:g} → {threshold:g}"
                    yield Changed(seq, Change("threshold", words))
                self.threshold = threshold
            if text not in {self._texts.get(symbol), "{}"}:
                self._texts[symbol] = text
                yield from self._models(seq, symbol, json.loads(text))

    def _models(self, seq: int, symbol: str, versions: dict[str, str]) -> Iterator[Changed]:
        """A decision without any model (none speaks of the coin yet) says nothing of what is live."""
        before = self.versions.get(symbol)
        known = self.models
        self.versions[symbol] = versions
        if before is None or before == versions:
            return
        words = [
            f"{model} {before.get(model, '–')} → {versions.get(model, '–')}"
            for model in sorted({*before, *versions})
            if before.get(model) != versions.get(model)
            and (model not in versions or known.get(model) != versions[model])
        ]
        yield Changed(seq, Change("model", ", ".join(words) or f"the models of {symbol}"))

    def _configs(self, connection: sqlite3.Connection, last: int) -> Iterator[Changed]:
        """Numbers of the account other than the settings': what execution costs were measured."""
        for number, after_scan, text in connection.execute(_CONFIGS, (self._run, self._config[0])):
            if after_scan >= last:
                return
            config = json.loads(text) if text else {}
            before = self._config[1]
            if before and config and config != before and after_scan >= self._seen:
                words = ", ".join(_differing(before, config))
                yield Changed(after_scan + 1, Change("settings", words))
            self._config = (number, config or before)

    def _scans(
        self,
        connection: sqlite3.Connection,
        span: tuple[str, int, int],
        interval_s: float,
        max_gap_s: float,
    ) -> None:
        for _seq, due_text, state, detail in connection.execute(_SCANS, span):
            due = parse_iso(due_text)
            if self._due is not None:
                apart = (due - self._due).total_seconds()
                if _MISSED * interval_s < apart <= max_gap_s:
                    missed = round(apart / interval_s) - 1
                    words = "1 scan fell out" if missed == 1 else f"{missed} scans fell out"
                    self.incidents.append(Incident(self._due, "missed", words))
            self._due = due
            kind = _KINDS.get(state)
            if kind is not None:
                self.incidents.append(Incident(due, kind, detail))


_KINDS: Final[Mapping[str, IncidentKind]] = {"late": "late", "failed": "failed"}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """``costs.spread_bps 12 → 9.4`` for every number that changed."""
    old, new = dict(_flat(before)), dict(_flat(after))
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    words = [f"{name} {old.get(name, '–')} → {new.get(name, '–')}" for name in changed[:_NAMED]]
    return [*words, f"and {len(changed) - _NAMED} more"] if len(changed) > _NAMED else words


def _flat(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
