"""A long history, interrupted ten times by errors, 429s and kills, is the one that nothing interrupted."""

import itertools
import math
import signal
import subprocess
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from tradingai.engine.core.symbols import DAY_MINUTES

from tests.fakes.command_line import ROOT, environment
from tests.fakes.exchange_api import Request, exchange_api
from tests.fakes.fetching import FastClock, arguments, check_stored, worst_minute
from tests.fakes.homes import new_home
from tests.fakes.random_candles import random_candles

BINANCE_WEIGHT = 6000
"""Of all requests of one minute."""


@dataclass
class Interruptions:
    """What happens at which page: a kill some milliseconds after it was asked for, or another answer."""

    kills: dict[int, float]
    """Page to the seconds between request and kill."""
    faults: dict[int, str]
    child: subprocess.Popen[str] | None = None
    killed: int = 0

    def on_page(self, number: int) -> None:
        if number in self.kills and self.child is not None:
            threading.Timer(self.kills[number], self.kill, [self.child]).start()

    def kill(self, child: subprocess.Popen[str]) -> None:
        self.killed += 1
        child.kill()


def interruptions(pages: int, kills: int, outages: int) -> Interruptions:
    """Ten of them, spread over the pages. An outage is too long for PROVIDER_RETRIES and ends the run."""
    at = [round(share * pages) for share in (0.08, 0.17, 0.26, 0.35, 0.44, 0.53, 0.62, 0.71, 0.80, 0.89)]
    passing = itertools.cycle(("429:30", "cut", "418:120", "html", "429", "500", "drop", "{}"))
    plan = Interruptions({}, {})
    for index, page in enumerate(at):
        if index % 2 == 0 and len(plan.kills) < kills:
            plan.kills[page] = 0.004 * index
        elif index % 2 == 0 and outages:
            outages -= 1
            plan.faults.update(dict.fromkeys(range(page, page + 6), "503"))
        else:
            plan.faults[page] = next(passing)
    return plan


def download(tmp_path, days: int, memory_mb: float, kills: int, outages: int) -> None:
    candles = random_candles(days * DAY_MINUTES + 1, start_minute=26_300_000)
    first, last = int(candles.ts[0]), int(candles.ts[-2])
    paths = new_home(tmp_path / "home")
    clock = FastClock()
    least = math.ceil((len(candles) - 1) / 1000)
    plan = interruptions(least, kills, outages)
    statuses: list[int] = []
    said = needed_mb = ""
    with exchange_api("binance", last + 90_000_000, ticker=clock.monotonic) as api:
        api.list("BTC", "USDT", candles)
        api.on, api.on_page = dict(plan.faults), plan.on_page
        program = arguments(paths, api, first, last)
        while statuses[-1:] != [0]:
            assert len(statuses) <= kills + outages, said
            plan.child = subprocess.Popen(
                program,
                cwd=ROOT,
                env=environment(),
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            needed_mb, said = plan.child.communicate()
            statuses.append(plan.child.returncode)
            assert statuses[-1] in {0, -signal.SIGKILL} or "fetch of BTC-USD stopped at" in said
    assert sorted(statuses) == [-signal.SIGKILL] * kills + [0] + [1] * outages
    faults = [page.fault for page in api.pages if page.fault != "ok"]
    assert len(faults) >= len(plan.faults)
    check_stored(paths, candles[:-1])
    assert least <= len(api.pages) <= least + len(faults) + kills
    assert len(api.requests) - len(api.pages) == 2 * len(statuses)
    assert worst_minute(api) <= BINANCE_WEIGHT
    assert api.odd == []
    assert int(needed_mb) < memory_mb


def test_a_month_interrupted_ten_times(tmp_path):
    download(tmp_path, 30, 300, kills=2, outages=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("years", "memory_mb"), [(1, 400), (5, 800)])
def test_years_interrupted_ten_times(tmp_path, years, memory_mb):
    download(tmp_path, 365 * years, memory_mb, kills=4, outages=1)


def test_a_minute_of_the_clock_sees_no_more_than_the_exchange_allows():
    """The measure itself: a burst is found wherever it lies."""
    with exchange_api("binance", 0) as api:
        times = [*np.arange(0, 100, 1.0), *([150.0] * 40), 211.0]
        api.requests = [Request(at, "", {}, {}, candles=True, weight=2.0) for at in times]
    assert worst_minute(api) == 120
    api.requests = [request for request in api.requests if request.at >= 100]
    assert worst_minute(api) == 80
