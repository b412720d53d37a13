"""The registry's ledger: append-only entries, each holding the hash of the one before.

Only the document and what can be read from it live here, so that ``status`` and the console's snapshots
can show the registry without loading anything heavy. Writing it is :mod:`tradingai.engine.registry`'s work.

The file is one JSON document with one entry a line. ``count`` and ``head`` repeat how many entries there
are and the last one's hash, so that a ledger cut off after any entry is noticed. The chain detects
corruption, not a hostile owner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from tradingai.engine.core.errors import RegistryError
from tradingai.engine.core.jsonio import canonical, digest, iso_z, parse_iso

Kind = Literal["evaluated", "promoted", "rolled_back"]
KINDS: Final[tuple[Kind, ...]] = ("evaluated", "promoted", "rolled_back")
LEDGER_SCHEMA: Final = 1
GENESIS: Final = "0" * 64
"""The hash before the first entry."""
REMEDY: Final = "Nothing was changed. Restore the registry from a backup: `tradingai restore FILE`."


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact that was evaluated and waits for its attempt number and version."""

    model: str
    tests: Mapping[str, str]
    """Coin to the hash of its test range's candles: what attempts are counted on."""
    artifact_sha256: str
    """Hash of the artifact's values."""
    artifact: Path
    sidecar: Path
    """The JSON beside the artifact."""
    key: str
    """Hash of everything the evaluation depends on: the same key means the same evaluation."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that happened to one version of one model.

    ``details`` of ``evaluated``: market, synthetic, split, metrics, gates (id to passed), passed,
    exploratory, thresholds, attempt, alpha, key, certificate_sha256, certificate_file, files (name to SHA-256
    of its bytes); of a model of one coin also symbol and the data, feature and test-data hashes, of another
    those and the coin's own metrics, gates, passed, attempt and alpha below ``coins``; of an ensemble
    ``components`` ([model, version, artifact hash]). Read what belongs to a coin through :attr:`coins`. Of
    ``promoted`` and ``rolled_back``: previous
    (the version that was live before, or None), certificate_sha256.
    """

    seq: int
    prev: str
    at: datetime
    kind: Kind
    who: str
    why: str
    model: str
    version: str
    artifact_sha256: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def coins(self) -> dict[str, dict[str, Any]]:
        """Of ``evaluated``: coin to its part of the details."""
        coins: dict[str, dict[str, Any]] = self.details.get("coins") or {self.details["symbol"]: self.details}
        return coins

    @property
    def hash(self) -> str:
        """SHA-256 over everything else in the entry, ``prev`` included."""
        return digest(self._content())

    def as_json(self) -> dict[str, Any]:
        """The entry's line."""
        return {**self._content(), "hash": self.hash}

    def _content(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "prev": self.prev,
            "at": iso_z(self.at),
            "kind": self.kind,
            "who": self.who,
            "why": self.why,
            "model": self.model,
            "version": self.version,
            "artifact_sha256": self.artifact_sha256,
            "details": self.details,
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries, oldest first; the chain was verified when it was read."""

    entries: tuple[LedgerEntry, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self.entries)

    @property
    def head(self) -> str:
        """Hash of the newest entry."""
        return self.entries[-1].hash if self.entries else GENESIS

    def append(
        self, *, at: datetime, kind: Kind, who: str, why: str, model: str, version: str, artifact_sha256: str,
        details: dict[str, Any],
    ) -> Ledger:  # fmt: skip
        """This ledger with one more entry."""
        plain_details = json.loads(canonical(details))
        entry = LedgerEntry(
            len(self) + 1, self.head, at, kind, who, why, model, version, artifact_sha256, plain_details
        )
        return Ledger((*self.entries, entry))

    def text(self) -> str:
        """The file's content: one entry a line."""
        lines = ",\n".join(canonical(entry.as_json()).decode() for entry in self.entries)
        return (
            f'{{"schema": {LEDGER_SCHEMA}, "entries": [\n{lines}\n], '
            f'"count": {len(self)}, "head": "{self.head}"}}\n'
        )

    def history(self, model: str | None = None) -> tuple[LedgerEntry, ...]:
        """Entries of one model, or all, oldest first."""
        return tuple(entry for entry in self.entries if model in {None, entry.model})

    def models(self) -> tuple[str, ...]:
        """Models that occur, in order of their first entry."""
        return tuple(dict.fromkeys(entry.model for entry in self.entries))

    def versions(self, model: str) -> tuple[str, ...]:
        """Versions of a model, oldest first."""
        return tuple(dict.fromkeys(entry.version for entry in self.history(model)))

    def evaluations(self, model: str, version: str | None = None) -> tuple[LedgerEntry, ...]:
        """``evaluated`` entries of a model, or of one of its versions, oldest first."""
        return tuple(
            entry
            for entry in self.history(model)
            if entry.kind == "evaluated" and version in {None, entry.version}
        )

    def promotions(self, model: str) -> tuple[LedgerEntry, ...]:
        """Entries that made a version live, by promotion or rollback, oldest first."""
        return tuple(entry for entry in self.history(model) if entry.kind != "evaluated")

    def live(self) -> dict[str, LedgerEntry]:
        """For each model that has a live version, the entry that made it live."""
        return {entry.model: entry for entry in self.entries if entry.kind != "evaluated"}

    def live_at(self, moment: datetime) -> dict[str, LedgerEntry]:
        """For each model, the entry whose version was live at ``moment``."""
        return {
            entry.model: entry for entry in self.entries if entry.kind != "evaluated" and entry.at <= moment
        }

    def attempts(self, symbol: str, test_sha256: str) -> dict[str, int]:
        """Artifact hash to attempt number (from 1, in order) on one coin's test data."""
        artifacts = dict.fromkeys(
            entry.artifact_sha256
            for entry in self.entries
            if entry.kind == "evaluated"
            and symbol in entry.coins
            and entry.coins[symbol]["test_sha256"] == test_sha256
        )
        return {artifact: number for number, artifact in enumerate(artifacts, start=1)}

    def attempt(self, symbol: str, test_sha256: str, artifact_sha256: str) -> int:
        """The number an artifact has on this test data, or would get next."""
        known = self.attempts(symbol, test_sha256)
        return known.get(artifact_sha256, len(known) + 1)

    def version_of(self, model: str, artifact_sha256: str) -> str | None:
        """The version an artifact was recorded as."""
        for entry in self.evaluations(model):
            if entry.artifact_sha256 == artifact_sha256:
                return entry.version
        return None

    def next_version(self, model: str) -> str:
        """v1.0.0, then v1.1.0, …"""
        return f"v1.{len(self.versions(model))}.0"


def read_ledger(path: Path) -> Ledger:
    """Read and verify a ledger; one that does not exist yet is empty.

    Raises RegistryError naming the first entry that is not what it was when it was written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Ledger()
    except UnicodeDecodeError as error:
        raise RegistryError(f"{path} is damaged: {error}", remedy=REMEDY) from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise RegistryError(f"{path} is damaged at {_where(text)}: {error}", remedy=REMEDY) from error
    return _verified(document, path)


def _where(text: str) -> str:
    """The first line that is no entry, for a file that is no JSON."""
    for number, line in enumerate(text.split("\n")[1:], start=1):
        try:
            json.loads(line.removesuffix(","))
        except json.JSONDecodeError:
            return f"entry {number}"
    return "its first line"


def _verified(document: Any, path: Path) -> Ledger:
    if not isinstance(document, dict) or not isinstance(document.get("entries"), list):
        raise RegistryError(f"{path} is no ledger", remedy=REMEDY)
    if document.get("schema") != LEDGER_SCHEMA:
        raise RegistryError(
            f"{path} has schema {document.get('schema')!r}; this version reads schema {LEDGER_SCHEMA}",
            remedy="Use the version of tradingai that wrote it.",
        )
    entries: list[LedgerEntry] = []
    prev = GENESIS
    for number, raw in enumerate(document["entries"], start=1):
        entry = _entry(raw, number, path)
        if entry.prev != prev or entry.seq != number or raw.get("hash") != entry.hash:
            raise RegistryError(
                f"{path}: entry {number} ({entry.kind} {entry.model} {entry.version}) was changed "
                "after it was written, or an entry before it is missing",
                remedy=REMEDY,
            )
        entries.append(entry)
        prev = entry.hash
    if document.get("count") != len(entries) or document.get("head") != prev:
        raise RegistryError(
            f"{path} is cut off after entry {len(entries)} of {document.get('count')}", remedy=REMEDY
        )
    return Ledger(tuple(entries))


def _entry(raw: Any, number: int, path: Path) -> LedgerEntry:
    try:
        values = {key: value for key, value in raw.items() if key != "hash"}
        entry = LedgerEntry(**{**values, "at": parse_iso(values["at"])})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"{path}: entry {number} is damaged ({error})", remedy=REMEDY) from error
    if entry.kind not in KINDS or not isinstance(entry.details, dict):
        raise RegistryError(f"{path}: entry {number} is of an unknown kind {entry.kind!r}", remedy=REMEDY)
    return entry
