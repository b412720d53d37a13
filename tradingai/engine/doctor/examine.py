"""The examinations in their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.doctor import home, operation
from tradingai.engine.doctor.examination import Examination, guarded
from tradingai.engine.doctor.models import examine_models


def examine(root: Path, clock: Clock) -> tuple[Examination, ...]:
    """Look at everything; a part that fails is a finding and hides no other."""
    paths = HomePaths(root)
    steps: tuple[tuple[str, Callable[[], Examination]], ...] = (
        ("home", lambda: home.examine_home(root, clock)),
        ("settings", lambda: home.examine_settings(root)),
        ("disk", lambda: operation.examine_disk(paths)),
        ("permissions", lambda: home.examine_permissions(paths)),
        ("logs", lambda: operation.examine_logs(paths)),
        ("database", lambda: home.examine_database(paths)),
        ("candles", lambda: home.examine_candles(paths)),
        ("features", lambda: home.examine_features(paths)),
        ("models", lambda: examine_models(paths, clock)),
        ("costs", lambda: operation.examine_costs(paths, clock)),
        ("clock", lambda: home.examine_clock(paths, clock)),
        ("exchange", lambda: operation.examine_exchange(paths, clock)),
        ("telegram", lambda: operation.examine_telegram(paths)),
        ("metrics", lambda: operation.examine_metrics(paths)),
        ("torch", home.examine_torch),
    )
    return tuple(guarded(name, step) for name, step in steps)
