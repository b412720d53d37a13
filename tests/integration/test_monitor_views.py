"""What the Monitor reads of runs that were really stored: live ones with a fake feed, and replays."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from tradingai.engine.core.commands import SetKillSwitch, SetThreshold
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.records import REASONS as RULES
from tradingai.engine.queries.monitor_views import MonitorReader
from tradingai.engine.queries.rolling import REASONS
from tradingai.engine.queries.run_snapshot import MonitorView
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.queries.status import read_status
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.desk_facts import HomeDesks
from tradingai.engine.store.read_only import reading
from tradingai.screens.monitor_parts import funnel_lines

from tests.fakes.homes import plain_settings
from tests.fakes.live import BTC, NOW, Bench, SpoiltFeed, changed, open_bench, sure_artifact
from tests.fakes.stored_market import COINS, open_replays, replay_home

ETH = "ETH-USD"
ISSUED = {"sender": "tester", "surface": "cli", "issued_at": NOW}


class Watch:
    """A reader over one home, asked again and again."""

    def __init__(self, root: Path, **settings: object) -> None:
        self._database = root / "tradingai.db"
        self._reader = MonitorReader(HomePaths(root), HomeDesks(plain_settings(**settings)), 500.0)

    def look(self, now=NOW, **how) -> MonitorView:
        with reading(self._database) as connection:
            run = choose_run(connection)
            assert run is not None
            return self._reader.read(connection, run, now, **how)


def whole(view: MonitorView) -> MonitorView:
    """The view, once its numbers were seen to add up."""
    assert sum(view.funnel.by_reason.values()) == view.funnel.scanned
    assert set(view.funnel.by_reason) <= set(REASONS)
    assert view.signals_in_window == view.funnel.by_reason.get("emitted", 0)
    return view


def test_the_reasons_are_the_rules():
    assert tuple(rule.value for rule in RULES) == REASONS


async def test_a_live_run_from_its_first_scan_to_its_first_exit(tmp_path):
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home", interval_s=60) as bench:
        before = whole(watch.look(bench.clock.now()))
        assert (before.coins, before.funnel.scanned, before.last_scan_at) == ((), 0, None)
        await bench.scan(1)
        first = whole(watch.look(bench.clock.now()))
        (coin,) = first.coins
        assert (coin.symbol, coin.reason, coin.side, coin.tier) == (BTC, "emitted", "long", "high")
        assert coin.confidence == pytest.approx(0.8808, abs=1e-4)
        assert (coin.outputs, coin.weights) == ({"lstm_BTC-USD": coin.p_up}, {"lstm_BTC-USD": 1.0})
        (signal,) = first.signals
        assert (signal.state, signal.r, signal.key) == ("waiting", None, coin.signal_key)
        assert (first.rates.total, first.rates.high, first.rates.total_limit) == (1, 1, 10)
        await bench.scan(2)
        second = whole(watch.look(bench.clock.now()))
        (position,) = second.positions
        assert (second.signals[0].state, second.signals[0].r) == ("open", position.r)
        assert second.coins[0].reason == "position_open"
        await bench.scan(30)
        later = whole(watch.look(bench.clock.now()))
        trades = await bench.store.scans.trades(bench.run_id)
        by_key = {trade.key: trade for trade in trades}
        closed = [one for one in later.signals if one.state not in {"open", "waiting"}]
        assert closed
        assert {one.key: (one.state, one.r) for one in closed} == {
            key: (trade.exit_reason, trade.r) for key, trade in by_key.items()
        }
        assert (later.closed, later.net_r) == (len(trades), pytest.approx(sum(one.r for one in trades)))
        assert later.win_rate == sum(one.r > 0 for one in trades) / len(trades)
        assert [one.at for one in later.signals] == sorted((one.at for one in later.signals), reverse=True)


async def test_the_funnel_is_that_of_status(tmp_path):
    async with open_bench(tmp_path / "home", interval_s=30) as bench:
        await bench.scan(20)
        view = whole(Watch(tmp_path / "home").look(bench.clock.now()))
        document = read_status(bench.paths, bench.settings, bench.clock)["engine"]["funnel"]
    assert {reason: view.funnel.by_reason.get(reason, 0) for reason in REASONS} == document["by_reason"]
    assert (view.funnel.scans, view.funnel.scanned) == (document["scans"], document["decisions"])
    assert view.latency.p50_ms == document["latency_ms"]["p50"]
    assert dict(view.tiers) == document["by_tier"]


async def test_a_decision_stands_until_there_is_a_newer_candle(tmp_path):
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home", interval_s=10) as bench:
        await bench.scan(2)
        (coin,) = watch.look(bench.clock.now()).coins
        assert (coin.reason, coin.scan) == ("emitted", 1)
        assert coin.again_at == coin.at + timedelta(seconds=10)
        (fresh,) = Watch(tmp_path / "home").look(bench.clock.now()).coins
        assert fresh == coin
        await bench.scan(4)
        (coin,) = watch.look(bench.clock.now()).coins
    assert coin.reason == "position_open"


async def test_prices_are_what_the_loop_received(tmp_path):
    feed = SpoiltFeed()
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(20)
        watch.look(bench.clock.now())
        feed.spoil[BTC] = lambda found: changed(found, -1, close=float("nan"))
        await bench.scan(1)
        feed.spoil.clear()
        await bench.scan(5)
        view = watch.look(bench.clock.now(), coin=BTC)
        fresh = Watch(tmp_path / "home").look(bench.clock.now(), coin=BTC)
        rows = await bench.store.live.candles(bench.run_id, BTC)
    assert view.prices == fresh.prices
    closes = {row.ts_us: row.close for row in rows if row.close is not None}
    points = view.prices[BTC]
    assert [point.close for point in points] == [close for _, close in sorted(closes.items())][-len(points) :]
    (coin,) = view.coins
    newest = max(closes)
    assert coin.price == closes[newest]
    assert coin.change_15m == pytest.approx(closes[newest] / closes[newest - 15 * 60_000_000] - 1)


async def test_a_feed_that_is_silent_and_a_scan_that_fails(tmp_path, monkeypatch):
    def broken(*_):
        raise ConnectionError("refused")

    feed = SpoiltFeed()
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home", feed=feed) as bench:
        await bench.scan(2)
        before = watch.look(bench.clock.now())
        feed.spoil[BTC] = broken
        await bench.scan(2)
        silent = whole(watch.look(bench.clock.now()))
        assert silent.coins[0].scan == before.coins[0].scan
        assert silent.coins[0].price_at == before.coins[0].price_at
        feed.spoil.clear()
        with monkeypatch.context() as spoilt:
            spoilt.setattr(bench.begun.step, "decide", broken)
            await bench.scan(1)
        failed = whole(watch.look(bench.clock.now()))
    assert (failed.last_scan_state, failed.last_scan_detail, failed.latency.failed) == (
        "failed",
        "refused",
        1,
    )
    assert failed.coins[0].scan == before.coins[0].scan


async def test_the_kill_switch_and_what_it_held(tmp_path):
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home") as bench:
        await bench.scan(1)
        await _control(bench, SetThreshold(**ISSUED, value=0.6))
        await _control(bench, SetKillSwitch(**ISSUED, on=True, reason="test"))
        since = bench.clock.now()
        await bench.scan(3)
        view = whole(watch.look(bench.clock.now(), kill_since=since))
    assert view.held_by_kill == 3
    assert (view.coins[0].reason, view.coins[0].threshold) == ("killed", 0.6)


async def _control(bench: Bench, command: object) -> None:
    await carry_out(bench.store, bench.settings, bench.paths, bench.clock, command)


async def test_several_coins_add_up(tmp_path):
    pair = (sure_artifact(BTC), sure_artifact(ETH, logit=-0.4))
    watch = Watch(tmp_path / "home")
    async with open_bench(tmp_path / "home", symbols=(BTC, ETH), artifacts=pair) as bench:
        await bench.scan(7)
        view = whole(watch.look(bench.clock.now(), coin=ETH))
        rows = await bench.store.scans.decisions(bench.run_id)
    assert (view.funnel.scans, view.funnel.scanned) == (7, 14)
    assert view.funnel.by_reason == Counter(row.reason for row in rows)
    assert [coin.symbol for coin in view.coins] == [BTC, ETH]
    assert list(view.prices) == [ETH]
    assert (view.coins[1].side, view.coins[1].reason) == ("short", "below_threshold")


# ----------------------------------------------------------------------------------- replays


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return replay_home(tmp_path_factory.mktemp("monitor") / "home").root


async def test_a_finished_replay_is_what_replay_json_says(made, tmp_path):
    home = shutil.copytree(made, tmp_path / "home", symlinks=True)
    async with open_replays(home) as bench:
        document = await bench.replay(6)
        view = whole(Watch(home, symbols=COINS).look(coin="ETH-USD"))
        assert view.funnel.hours is None
        assert {reason: view.funnel.by_reason.get(reason, 0) for reason in REASONS} == document["by_reason"]
        assert (view.funnel.scans, view.funnel.scanned) == (document["scans"], document["decisions"])
        assert {tier: view.tiers.get(tier, 0) for tier in document["by_tier"]} == document["by_tier"]
        assert (view.closed, view.win_rate) == (document["trades"], document["win_rate"])
        assert view.net_r == document["net_r"]
        assert view.signals_in_window == document["signals"]
        assert view.run.models == document["models"]
        assert (view.interval_s, view.run.state) == (document["interval_s"], "finished")
        on_screen = [
            int("".join(filter(str.isdigit, line.text[16:24]))) for line in funnel_lines(view, 24)[1:]
        ]
        assert on_screen == [document["decisions"], *(document["by_reason"][reason] for reason in REASONS)]
        newest = view.prices["ETH-USD"][-1]
        assert newest.at + timedelta(minutes=1) == view.run.now
        assert next(one.price for one in view.coins if one.symbol == "ETH-USD") == newest.close


async def test_the_decision_of_a_signal_in_full(made, tmp_path):
    home = shutil.copytree(made, tmp_path / "home", symlinks=True)
    async with open_replays(home) as bench:
        document = await bench.replay(6)
        rows = [row for row in await bench.store.scans.decisions(document["run"]) if row.signal_key]
        watch = Watch(home, symbols=COINS)
        wanted = rows[len(rows) // 2]
        found = watch.look(signal=wanted.signal_key).decision
        assert found is not None
        assert (found.symbol, found.at, found.p_up) == (wanted.symbol, wanted.at, wanted.p_up)
        assert (found.input_sha256, found.signal_key) == (wanted.input_sha256, wanted.signal_key)
        inputs = await bench.store.scans.inputs(
            document["run"], after=wanted.scan_seq - 1, until=wanted.scan_seq
        )
        seen = next(row for row in inputs if row.symbol == wanted.symbol)
        assert (found.candles, found.features_sha256) == (seen.candles, seen.features_sha256)
        assert watch.look(signal="none").decision is None


async def test_candles_that_changed_since_are_told_and_not_shown(made, tmp_path):
    home = shutil.copytree(made, tmp_path / "home", symlinks=True)
    async with open_replays(home) as bench:
        await bench.replay(2)
        manifest = bench.paths.candles / "BTC-USD" / "manifest.json"
        document = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**document, "sha256": "0" * 64}))
        view = whole(Watch(home, symbols=COINS).look(coin="BTC-USD"))
    assert view.problem is not None
    assert "the candles of BTC-USD are others now" in view.problem.message
    assert next(one.price for one in view.coins if one.symbol == "BTC-USD") is None
    assert view.prices["BTC-USD"] == ()
