"""Where everything lies below one home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL_FILE: Final = "model.pt"
"""A version's own copy of the artifact, in its folder."""


@dataclass(frozen=True, slots=True)
class HomePaths:
    """The folders and files of one home; nothing is created by asking for a path."""

    root: Path

    @property
    def marker(self) -> Path:
        """``home.json``: marks a home and carries its schema version."""
        return self.root / "home.json"

    @property
    def env_file(self) -> Path:
        """The home's ``.env``."""
        return self.root / ".env"

    @property
    def data(self) -> Path:
        """Candles, features, oracle, execution metrics."""
        return self.root / "data"

    @property
    def candles(self) -> Path:
        """One folder per symbol with yearly Parquet files and a manifest."""
        return self.data / "candles"

    @property
    def features(self) -> Path:
        """One folder per symbol with a float32 matrix and a manifest."""
        return self.data / "features"

    @property
    def oracle(self) -> Path:
        """What a synthetic market's hidden state knew; never read by features."""
        return self.data / "oracle"

    def fetched(self, symbol: str, source: str) -> Path:
        """Pages of an unfinished fetch; a folder that is not there holds none."""
        return self.data / "fetched" / f"{symbol}.{source}"

    def yfinance_cache(self, symbol: str) -> Path:
        """Time zones and cookies that yfinance keeps; it may be deleted."""
        return self.data / "yfinance" / symbol

    @property
    def models(self) -> Path:
        """Checkpoints, versions, promoted links and the ledger."""
        return self.root / "models"

    @property
    def checkpoints(self) -> Path:
        """Training's working files and best artifacts."""
        return self.models / "checkpoints"

    @property
    def versions(self) -> Path:
        """Immutable copies of every evaluated artifact."""
        return self.models / "versions"

    def version_model(self, model: str, version: str) -> Path:
        """A version's own copy of the artifact."""
        return self.versions / model / version / MODEL_FILE

    @property
    def promoted(self) -> Path:
        """Links to what is live, derived from the ledger."""
        return self.models / "promoted"

    @property
    def ledger(self) -> Path:
        """The append-only, hash-chained registry."""
        return self.models / "registry.json"

    @property
    def reports(self) -> Path:
        """Evaluation and observation reports."""
        return self.root / "reports"

    @property
    def evaluations(self) -> Path:
        """One folder per model with one JSON report per evaluated artifact and test data."""
        return self.reports / "evaluations"

    @property
    def checklists(self) -> Path:
        """One folder per rehearsal of the checklist before real money, named by its UTC time."""
        return self.reports / "checklist"

    @property
    def logs(self) -> Path:
        """Process logs, ``<process>.jsonl``; ``jobs/`` below holds one log per job."""
        return self.root / "logs"

    @property
    def alert_log(self) -> Path:
        """Every alert of the live run, one JSON document a line."""
        return self.logs / "alerts.jsonl"

    @property
    def job_logs(self) -> Path:
        """One log per job."""
        return self.logs / "jobs"

    def log_lock(self, stem: str) -> Path:
        """The lock a process holds on ``logs/<stem>.jsonl`` as long as it writes there."""
        return self.locks / "logs" / stem

    @property
    def locks(self) -> Path:
        """Files that are only ever flocked."""
        return self.root / "locks"

    def runner_lock(self, runner: str) -> Path:
        """The lock a process that runs jobs holds while it lives; its name is never used twice."""
        return self.locks / "runners" / (runner or "none")

    @property
    def backups(self) -> Path:
        """Copies of the database from before each migration."""
        return self.root / "backups"

    def all_folders(self) -> tuple[Path, ...]:
        """Every folder a new home gets."""
        return (
            self.root,
            self.data,
            self.candles,
            self.features,
            self.oracle,
            self.models,
            self.checkpoints,
            self.versions,
            self.promoted,
            self.reports,
            self.evaluations,
            self.logs,
            self.job_logs,
            self.locks,
            self.backups,
        )
