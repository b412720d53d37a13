"""What header and Monitor say of Telegram."""

from dataclasses import replace

import pytest
from tradingai.engine.queries.snapshot import TelegramView
from tradingai.screens.monitor_side import telegram_lines
from tradingai.widgets.header import status_line

from tests.fakes import console_monitor
from tests.fakes.console_story import full

OK = TelegramView("ok", delivered=1204, waiting=2, p50_s=0.71, p95_s=3.26)
FAILING = TelegramView(
    "failing", delivered=3, waiting=5, dead=1, not_delivered=2, error="TimedOut: Timed out"
)


def at(telegram):
    return replace(full(), live=replace(console_monitor.LIVE, telegram=telegram))


def side(telegram, view=None):
    return [
        line.text.rstrip() for line in telegram_lines(at(telegram), view or console_monitor.scanning(), 40)
    ]


def test_the_header_says_ok_where_there_is_room_and_trouble_everywhere():
    assert "telegram ok" in status_line(at(OK), 160).text
    assert "telegram" not in status_line(at(OK), 100).text
    assert "telegram" not in status_line(at(None), 160).text
    for width in (80, 100, 160):
        assert "! telegram 5 waiting" in status_line(at(FAILING), width).text


def test_the_monitor_counts_and_times():
    lines = side(OK)
    assert "Telegram" in lines[0]
    assert "1,204, 2 waiting, 0 not" in lines[1]
    assert "0.7 / 3.3 s" in lines[2]
    lines = side(FAILING)
    assert "! 3, 5 waiting, 3 not" in lines[1]
    assert "TimedOut: Timed out" in lines[3]


@pytest.mark.parametrize("telegram", [None, OK])
def test_without_a_token_or_beside_a_replay_there_is_nothing(telegram):
    view = console_monitor.replayed() if telegram else None
    assert side(telegram, view) == []
