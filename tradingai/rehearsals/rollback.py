"""Rehearsal: every live model is rolled back in one step, and made live again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tradingai.bootstrap import open_engine
from tradingai.engine.core.commands import Promote, Rollback
from tradingai.engine.core.errors import RegistryError
from tradingai.engine.core.ledger import Candidate, LedgerEntry
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.facade import Engine
from tradingai.engine.inference.promoted import PromotionWatch
from tradingai.engine.models.artifact import load_artifact, save_artifact
from tradingai.engine.registry.links import linked_version
from tradingai.engine.registry.registry import Registry, rollback_target
from tradingai.engine.registry.verify import verify
from tradingai.rehearsals.stage import Copied, Finding, Stage

_WHY: Final = "rehearsal of the checklist"


async def rehearse(stage: Stage) -> Finding:
    """On a copy: roll back, look, go forward again, look; the last state is the first."""
    finding, copied = Finding(), stage.copy()
    registry = Registry(copied.paths, stage.clock, who="observe checklist")
    before = _live(registry)
    async with open_engine(stage.home, clock=stage.clock) as engine:
        rolled = _Rolled(finding, copied, registry, engine)
        for model in sorted(before):
            stage.say(f"rolling back {model}")
            await rolled.there_and_back(model, before[model])
    after = _live(registry)
    finding.expect(after == before, f"live at the end: {after}, at the beginning: {before}")
    damaged = [one for one in verify(copied.paths) if not one.ok]
    finding.failures += [f"{one.model} {one.version}: {one.detail}" for one in damaged]
    if rolled.alone:
        finding.not_rehearsed.append(
            f"a rollback between two trained versions of {', '.join(rolled.alone)}: there is nothing to go "
            "back to yet, so the copy got a second version, the same values under another record"
        )
    finding.measured |= {
        "models": len(before),
        "there_and_back": rolled.done,
        "rollbacks_and_promotions": rolled.changes,
        "longest_s": rolled.longest_s,
        "ledger_entries": len(registry.ledger().entries),
    }
    finding.summary = (
        f"{rolled.done} of {len(before)} live models went back in one step and forward again, "
        f"at most {rolled.longest_s:.2f} s a step"
    )
    finding.remedy = "Look at `tradingai models verify` and `tradingai models history`."
    finding.look = "models history"
    return finding


class _Rolled:
    """Rolls back and forward, and looks at what a scan loop would see."""

    def __init__(self, finding: Finding, copied: Copied, registry: Registry, engine: Engine) -> None:
        self._finding = finding
        self._copied = copied
        self._registry = registry
        self._engine = engine
        self._watch = PromotionWatch(copied.paths, copied.settings.symbols)
        self._fine = True
        self.alone: list[str] = []
        """Models without an earlier version that could be live beside the others."""
        self.done = 0
        self.changes = 0
        self.longest_s = 0.0

    async def there_and_back(self, model: str, live: str) -> None:
        """Back one step and forward again, through the engine's commands; ``live`` is live in the end."""
        self._fine = True
        target = self._earlier(model)
        if target is None:
            self.alone.append(model)
            other = _second_version(self._registry, self._copied, model)
            await self._go(Rollback(**self._engine.issue(), model=model, why=_WHY), model, live)
            await self._go(
                Promote(**self._engine.issue(), model=model, version=other, why=_WHY), model, other
            )
            await self._go(Rollback(**self._engine.issue(), model=model, why=_WHY), model, live)
            path = f"{other} → {live} → {other} → {live}"
        else:
            await self._go(Rollback(**self._engine.issue(), model=model, why=_WHY), model, target)
            await self._go(Promote(**self._engine.issue(), model=model, version=live, why=_WHY), model, live)
            path = f"{live} → {target} → {live}"
        self._finding.steps.append(
            f"{model}: {path}; ledger, link, files and a scan loop looked at each time"
        )
        self.done += self._fine

    def _earlier(self, model: str) -> str | None:
        """What a rollback leads to; None where there is nothing, or an ensemble made of what is not live."""
        ledger = self._registry.ledger()
        try:
            target = rollback_target(ledger, model)
        except RegistryError:
            return None
        live = {name: entry.artifact_sha256 for name, entry in ledger.live().items()}
        parts = ledger.evaluations(model, target)[-1].details.get("components", ())
        return target if all(live.get(name) == sha256 for name, _, sha256 in parts) else None

    async def _go(self, command: Promote | Rollback, model: str, version: str) -> None:
        """Carry it out; then everybody has to see that ``version`` is live."""
        clock = self._engine.clock
        began = clock.monotonic()
        await self._engine.execute(command)
        self.longest_s = max(self.longest_s, clock.monotonic() - began)
        self.changes += 1
        self._watch.look()
        seen: Mapping[str, Any] = {
            "the ledger": self._registry.ledger().live()[model].version,
            "the link": linked_version(self._copied.paths, model),
            "the record of what is live now": self._registry.live_at(clock.now())[model].version,
        }
        if model in self._watch.current.versions or model in self._loaded():
            seen = {**seen, "a scan loop": self._watch.current.versions.get(model)}
        for who, found in seen.items():
            if found != version:
                self._fine = False
                doing = type(command).__name__.lower()
                self._finding.failures.append(f"{model}, {doing}: {who} has {found} instead of {version}")

    def _loaded(self) -> list[str]:
        """Models that a scan loop of this home's coins should have, and refused."""
        return [event.model for event in self._watch.current.refused]


def _second_version(registry: Registry, copied: Copied, model: str) -> str:
    """Promote the live artifact under another record, with the live version's certificate; its name."""
    entry = registry.ledger().live()[model]
    artifact = load_artifact(copied.paths.version_model(model, entry.version))
    other = replace(artifact, record={**artifact.record, "rehearsal": True})
    file = copied.paths.checkpoints / f"{model}_best.pt"
    sha256 = save_artifact(file, other)
    report = registry.certificate(model, entry.version)
    candidate = Candidate(model, _tests(registry, entry), sha256, file, file.with_suffix(".json"), sha256)

    def build(attempts: Mapping[str, int], version: str) -> ModelReport:
        coins = (replace(one, attempt=attempts[one.symbol], version=version) for one in report.coins)
        return ModelReport.of(coins, report.components)

    recorded = registry.record(candidate, build, why=_WHY)
    return registry.promote(model, recorded.version, why=_WHY).version


def _tests(registry: Registry, entry: LedgerEntry) -> dict[str, str]:
    evaluated = registry.ledger().evaluations(entry.model, entry.version)[-1]
    return {symbol: str(details["test_sha256"]) for symbol, details in evaluated.coins.items()}


def _live(registry: Registry) -> dict[str, str]:
    return {model: entry.version for model, entry in registry.ledger().live().items()}
