"""A worker with job kinds for tests: ``JobRunner(worker_module="tests.fakes.worker")`` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tradingai.engine.core.errors import GateRefusedError
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.worker import main


def echo(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Report, print to both descriptors in three ways, and return what the process looks like."""
    reporter.progress(Progress(1, 2, "steps", rate=3.0, eta_s=0.5, detail={"epoch": 1}))
    reporter.emit(StateRepaired(what="nothing", detail="a test event"))
    print("a stray print")  # noqa: T201 - what the test is about
    os.write(1, b'{"result": {"forged": true}}\n')
    subprocess.run([sys.executable, "-c", "print('from a grandchild')"], check=True)
    print("on standard error", file=sys.stderr)  # noqa: T201 - what the test is about
    reporter.progress(Progress(2, 2, "steps"))
    return {
        "params": dict(params),
        "home": str(paths.root),
        "threshold": settings.confidence_threshold,
        "token": settings.telegram_token is not None or os.environ.get("TELEGRAM_TOKEN", ""),
        "nice": os.nice(0),
        "session": os.getsid(0) == os.getpid(),
        "omp": [os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]],
    }


def skip(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Find the work done."""
    return {"skipped": True, "reason": "inputs unchanged"}


def patient(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Work in small steps with safe points until a file appears, noting every start in a file."""
    with (paths.root / "starts").open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    pause, done = threading.Event(), 0
    while not (paths.root / "finish").exists():
        reporter.progress(Progress(done := done + 1, 1000, "steps"))
        reporter.safe_point()
        pause.wait(0.02)
    return {"steps": done}


def stubborn(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Never reach a safe point."""
    reporter.progress(Progress(0, 1, "steps"))
    threading.Event().wait(120)
    return {}


def dies(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Kill the own process the first ``times`` times, then end well."""
    starts = paths.root / "starts"
    with starts.open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    if len(starts.read_text().split()) <= params["times"]:
        print("about to die", flush=True)  # noqa: T201 - tells the test that it came so far
        os.kill(os.getpid(), signal.SIGKILL)
    return {"summary": "lived"}


def refuses(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Fail with an error of the tree."""
    raise GateRefusedError("accuracy is 61.0 %, 68.0 % are needed", remedy="Train on more data.")


def breaks(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Fail with an exception nobody foresaw."""
    raise ZeroDivisionError("the secret detail")


def chatty(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Report progress many thousand times and a few hundred events, one of them very long."""
    for step in range(20_000):
        reporter.progress(Progress(step + 1, 20_000, "steps"))
    for number in range(300):
        reporter.emit(StateRepaired(what=f"{number}", detail="x" * (200_000 if number == 150 else 10)))
    return {}


KINDS = {
    "echo": echo,
    "skip": skip,
    "patient": patient,
    "stubborn": stubborn,
    "dies": dies,
    "refuses": refuses,
    "breaks": breaks,
    "chatty": chatty,
    "generate": refuses,
    "features": skip,
    "train": patient,
    "evaluate": echo,
}

if __name__ == "__main__":
    sys.exit(main(KINDS))
