"""The process beside an evaluation: results, errors, stops, and that it ends with whoever began it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tradingai.engine.core.errors import DataError, InterruptedRunError, JobError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.evaluation.aside import Aside, result_of

from tests.fakes.home_state import alive, wait_for

ROOT = Path(__file__).resolve().parents[2]


def add(a, b, reporter):
    reporter.safe_point()
    return os.getpid(), a + b


def refuse(reporter):
    raise DataError("no scan in it", remedy="Use more candles.")


def endless(path, reporter):
    path.write_text(str(os.getpid()))
    while True:
        reporter.safe_point()
        time.sleep(0.01)


def die(reporter):
    os.kill(os.getpid(), signal.SIGKILL)


class Stopping(SilentReporter):
    """Asks to stop once a file is there."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def safe_point(self):
        if self.path.exists():
            raise InterruptedRunError("stop")


def test_results_come_from_another_process_and_errors_keep_their_remedy():
    with Aside(apart=True) as aside:
        several = [aside.submit(add, number, 1) for number in range(3)]
        refused = aside.submit(refuse)
        found = [result_of(one, SilentReporter()) for one in several]
        with pytest.raises(DataError, match="no scan in it") as raised:
            result_of(refused, SilentReporter())
    assert [total for _, total in found] == [1, 2, 3]
    assert {pid for pid, _ in found} != {os.getpid()}
    assert len({pid for pid, _ in found}) == 1
    assert raised.value.remedy == "Use more candles."


def test_whoever_stops_stops_it_too(tmp_path):
    begun = tmp_path / "pid"
    with pytest.raises(InterruptedRunError), Aside(apart=True) as aside:
        result_of(aside.submit(endless, begun), Stopping(begun))
    assert not alive(int(begun.read_text()))


def test_a_process_that_dies_is_named():
    with Aside(apart=True) as aside, pytest.raises(JobError, match="died"):
        result_of(aside.submit(die), SilentReporter())


def test_it_ends_when_its_parent_is_killed(tmp_path):
    begun = tmp_path / "pid"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.unit.test_aside import endless\n"
        "from tradingai.engine.evaluation.aside import Aside, result_of\n"
        "from tradingai.engine.core.reporting import SilentReporter\n"
        "if __name__ == '__main__':\n"
        "    with Aside(apart=True) as aside:\n"
        "        result_of(aside.submit(endless, Path(sys.argv[1])), SilentReporter())\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(begun)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    pid = int(wait_for(lambda: begun.exists() and begun.read_text()))
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(pid), seconds=15)


def test_what_is_not_worth_a_process_is_carried_out_here_and_now():
    with Aside(apart=False) as aside:
        done = aside.submit(add, 1, 1)
        assert result_of(done, SilentReporter()) == (os.getpid(), 2)
        with pytest.raises(DataError, match="no scan in it"):
            result_of(aside.submit(refuse), SilentReporter())
