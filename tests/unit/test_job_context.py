"""The worker's side of a job."""

from __future__ import annotations

import json
import os

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import InterruptedRunError
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.reporting import Progress
from tradingai.engine.jobs.context import ParentChannel, StopRequest, WorkerReporter


class Side:
    """A reporter whose parent is this test."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.stop = StopRequest()
        self.clock = SimulatedClock(parse_iso("2025-11-10T00:00:00Z"))
        self.channel = ParentChannel(self.writer)
        self.reporter = WorkerReporter(self.channel, self.stop, self.clock)

    def heard(self):
        os.set_blocking(self.reader, False)
        try:
            return [json.loads(line) for line in os.read(self.reader, 1 << 16).splitlines()]
        except BlockingIOError:
            return []


@pytest.fixture
def side():
    one = Side()
    yield one
    for descriptor in (one.reader, one.writer):
        try:
            os.close(descriptor)
        except OSError:
            assert descriptor == one.reader, "only the reader is closed by a test"


def steps(messages):
    return [message["progress"]["done"] if "progress" in message else "event" for message in messages]


def test_progress_is_held_back_for_a_fifth_of_a_second(side):
    for step in range(1, 4):
        side.reporter.progress(Progress(step, 10, "bars"))
    assert steps(side.heard()) == [1]
    side.clock.advance(0.2)
    side.reporter.progress(Progress(4, 10, "bars"))
    assert steps(side.heard()) == [4]


def test_an_event_comes_after_the_progress_before_it(side):
    side.reporter.progress(Progress(1, 10, "bars"))
    side.reporter.progress(Progress(2, 10, "bars"))
    side.reporter.emit(StateRepaired(what="x", detail=""))
    assert steps(side.heard()) == [1, 2, "event"]


def test_nothing_is_sent_twice(side):
    side.reporter.progress(Progress(1, 10, "bars"))
    side.reporter.flush()
    side.reporter.flush()
    assert steps(side.heard()) == [1]


def test_a_safe_point_passes_until_somebody_asks_and_the_first_reason_counts(side):
    side.reporter.safe_point()
    side.stop.set("cancelled by alice")
    side.stop.set("something later")
    with pytest.raises(InterruptedRunError, match="cancelled by alice") as caught:
        side.reporter.safe_point()
    assert "goes on from there" in caught.value.remedy


def test_a_parent_that_hears_nothing_any_more_stops_the_work(side):
    os.close(side.reader)
    side.reporter.emit(StateRepaired(what="x", detail=""))
    assert side.channel.broken
    side.reporter.emit(StateRepaired(what="y", detail=""))
    with pytest.raises(InterruptedRunError, match="parent process is gone"):
        side.reporter.safe_point()


def test_long_messages_go_out_whole(side):
    import threading

    heard = bytearray()

    def listen():
        while not heard.endswith(b"\n"):
            heard.extend(os.read(side.reader, 4096))

    listener = threading.Thread(target=listen)
    listener.start()
    side.reporter.emit(StateRepaired(what="x" * 300_000, detail=""))
    listener.join()
    assert len(json.loads(heard)["event"]["what"]) == 300_000
