"""What the console asks for beyond the commands every surface shares (``engine.core.commands``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from tradingai.engine.core.commands import Command, Surface


class Issuer(TypedDict):
    """The fields every command begins with."""

    sender: str
    surface: Surface
    issued_at: datetime


@dataclass(frozen=True, kw_only=True)
class RunPipeline(Command):
    """Run every step that is left, or only the next one, on a workload and a market."""

    every_step: bool = True
    workload: str = "quick"
    market: str = "cycles"
    seed: int = 7
    first: bool = False
    """In a home that was empty: at its end the operator is led to the Monitor, with a replay to watch."""


@dataclass(frozen=True, kw_only=True)
class VerifyCandles(Command):
    """Compare the stored values of a coin with the hash in its manifest."""

    symbol: str


@dataclass(frozen=True, kw_only=True)
class CheckFeatures(Command):
    """Prove causality and parity of the features on the operator's own data."""

    symbol: str


@dataclass(frozen=True, kw_only=True)
class VerifyModels(Command):
    """Compare every artifact with the ledger."""


@dataclass(frozen=True, kw_only=True)
class VerifyDecisions(Command):
    """Compute the live run's decisions again from the candles its scans saw."""


@dataclass(frozen=True, kw_only=True)
class RunChecklist(Command):
    """Rehearse what must work before real money, on isolated copies."""
