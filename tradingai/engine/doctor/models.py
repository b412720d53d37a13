"""The registry: is it whole, and can the loop work with what is live?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.ledger import Ledger, read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, load_settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.doctor.examination import Examination, Finding
from tradingai.engine.inference.promoted import PromotedModels, load_promoted
from tradingai.engine.registry.verify import verify

STALE_AFTER: Final = timedelta(days=90)
"""A model of real candles whose test is older may meet a market it has never seen."""
_PIPELINE: Final = "`tradingai pipeline` trains, evaluates and promotes."


def examine_models(paths: HomePaths, clock: Clock) -> Examination:
    """The ledger's chain, versions, certificates and links; what the loop would refuse, and what is old."""
    settings = load_settings(paths.root)
    ledger = read_ledger(paths.ledger)
    damaged = [
        Finding(
            f"{item.model or 'links'} {item.version}: {item.detail}",
            "`tradingai models rollback` goes to an intact version, `tradingai restore FILE` to a backup; "
            "links are repaired when the next command that writes starts.",
        )
        for item in verify(paths)
        if not item.ok
    ]
    live = [f"{model} {entry.version}" for model, entry in ledger.live().items()]
    promoted = load_promoted(paths, ledger, settings.symbols)
    findings = [*damaged, *_foreign(ledger, settings)]
    if not damaged:
        findings += [
            Finding(f"{one.model} {one.version} is refused: {one.reason}", one.remedy or _PIPELINE)
            for one in promoted.refused
        ]
    hints = (*_silent(promoted, settings), *_old(ledger, settings, clock.now()))
    return Examination("models", f"live: {', '.join(live) or 'none'}", tuple(findings), hints)


def _foreign(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Models of the made-up market that would decide on real candles."""
    if settings.data_provider == "synthetic":
        return
    made_up = [
        model
        for model, entry in ledger.live().items()
        if ledger.evaluations(model, entry.version)[-1].details.get("synthetic")
    ]
    if made_up:
        yield Finding(
            f"DATA_PROVIDER={settings.data_provider}, but {', '.join(made_up)} learnt the synthetic market",
            "Train and evaluate on real candles, or set DATA_PROVIDER=synthetic.",
        )


def _silent(promoted: PromotedModels, settings: Settings) -> Iterator[Finding]:
    """Coins no live model speaks of, and an ensemble that says nothing."""
    spoken = {symbol for model in promoted.models for symbol in model.symbols}
    silent = [symbol for symbol in settings.symbols if symbol not in spoken]
    if silent:
        message = f"no live model speaks of {', '.join(silent)}: the scan loop emits nothing there"
        yield Finding(message, _PIPELINE)
    if promoted.ensemble is not None:
        config = desk_config(settings, None).decision.ensemble
        unfit = promoted.ensemble.unfit(promoted.models, config)
        if unfit:
            message = f"the ensemble {promoted.ensemble.version} says nothing: {unfit}"
            yield Finding(message, "`tradingai evaluate ensemble` makes one of what is live.")


def _old(ledger: Ledger, settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.data_provider == "synthetic":
        return
    for model, entry in ledger.live().items():
        tested = ledger.evaluations(model, entry.version)[-1].at
        if now - tested > STALE_AFTER:
            message = f"{model} {entry.version} was tested {(now - tested).days} days ago"
            yield Finding(
                message, f"Fetch newer candles, then `tradingai train` and `tradingai evaluate {model}`."
            )
