"""The kinds of jobs this package carries out; each function is imported only in the worker that needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.settings import Settings


def _replay(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.runtime.replay import replay_job

    return replay_job(paths, settings, params, reporter)


def _drill(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.runtime.drill import drill_job

    del params
    return drill_job(paths, settings, reporter)


def _simulate(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.runtime.challenge import simulate_job

    return simulate_job(paths, settings, params, reporter)


def _observe(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    from tradingai.engine.runtime.baseline import observe_job

    return observe_job(paths, settings, params, reporter)


KINDS: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "replay": _replay,
    "drill": _drill,
    "simulate": _simulate,
    "observe": _observe,
}
