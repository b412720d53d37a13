"""What systemd hears, through a real socket; and that nobody listening is no trouble."""

import math
import os
import socket

import pytest
from tradingai.engine.runtime.supervision import Supervisor

from tests.fakes.live import RunningClock
from tests.fakes.service_manager import service_manager


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    with service_manager(tmp_path, abstract=request.param == "abstract") as listener:
        yield listener


def test_each_message_is_one_datagram(manager):
    supervisor = Supervisor.of_environment({"NOTIFY_SOCKET": manager.address}, RunningClock())
    supervisor.ready("first scan\nat  12:00")
    supervisor.status("scan 1 done: " + "x" * 500)
    supervisor.stopping()
    ready, status, stopping = manager.messages()
    assert ready == ["READY=1", "STATUS=first scan at 12:00"]
    assert status[0].startswith("STATUS=scan 1 done: xxx")
    assert len(status[0]) == len("STATUS=") + 200
    assert stopping == ["STOPPING=1"]


def test_the_watchdog_hears_four_beats_in_its_interval(manager):
    clock = RunningClock()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000000"}
    supervisor = Supervisor.of_environment(environment, clock)
    assert supervisor.every_s == 5
    supervisor.ready("here")
    for _ in range(40):
        clock.advance(0.5)
        supervisor.alive()
    assert manager.lines().count("WATCHDOG=1") == 4


@pytest.mark.parametrize(
    ("environment", "every_s"),
    [
        ({}, math.inf),
        ({"WATCHDOG_USEC": "8000000"}, 2),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}, 2),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getppid())}, math.inf),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "me"}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "-1"}, math.inf),
        ({"WATCHDOG_USEC": "soon"}, math.inf),
        ({"WATCHDOG_USEC": "²"}, math.inf),
    ],
)
def test_whose_watchdog_it_is(manager, environment, every_s):
    supervisor = Supervisor.of_environment({"NOTIFY_SOCKET": manager.address, **environment}, RunningClock())
    assert supervisor.every_s == every_s
    supervisor.ready("here")
    assert ["READY=1", "STATUS=here"] in manager.messages()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/at/all", "@nobody-binds-this"])
def test_nobody_listens(address):
    clock = RunningClock()
    supervisor = Supervisor.of_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}, clock)
    supervisor.ready("here")
    clock.advance(10)
    supervisor.alive()
    supervisor.status("still here")
    supervisor.stopping()


def test_a_listener_that_reads_nothing_and_one_that_has_gone(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(f"{tmp_path}/notify")
        supervisor = Supervisor(RunningClock(), f"{tmp_path}/notify")
        for number in range(2000):
            supervisor.status(f"more than its queue holds: {number}")
        assert deaf.recv(1000) == b"STATUS=more than its queue holds: 0"
    supervisor.status("it is gone")
