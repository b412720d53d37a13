"""What the Monitor shows of one run: newest decisions, the funnel, signals and what became of them.

The loop may scan every two seconds for days, so that nothing is read twice: sums follow the window, and
what can no longer change is kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import ENSEMBLE, model_kind
from tradingai.engine.queries.ensemble_views import EnsembleRules, in_order
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.engine.queries.rolling import WINDOW_HOURS, HeldByKill, RollingScans, closed_trades
from tradingai.engine.queries.run_prices import Price, prices_of
from tradingai.engine.queries.run_signals import RunSignals
from tradingai.engine.queries.run_snapshot import (
    NO_DESK,
    Bar,
    CoinNow,
    DeskFacts,
    FunnelView,
    LatencyView,
    MonitorView,
    WatchedRun,
)
from tradingai.engine.store.read_only import one_moment
from tradingai.engine.store.stamps import unstamp

_NEWEST: Final = (
    "SELECT * FROM decisions WHERE run_id = ?"
    " AND scan_seq = (SELECT max(scan_seq) FROM decisions WHERE run_id = ?) ORDER BY place"
)
_STANDING: Final = (
    "SELECT * FROM decisions WHERE run_id = ? AND symbol = ? AND scan_seq > ?"
    " AND reason != 'no_new_candle' ORDER BY scan_seq DESC LIMIT 1"
)
_EMITTED: Final = (
    "SELECT decisions.* FROM signals JOIN decisions USING (run_id, scan_seq, symbol)"
    " WHERE signals.run_id = ? AND signals.key = ?"
)
_INPUTS: Final = (
    "SELECT candles, features_sha256 FROM scan_inputs WHERE run_id = ? AND scan_seq = ? AND symbol = ?"
)
_LAST_SCAN: Final = (
    "SELECT seq, due, at, state, detail, latency_ms, took_ms FROM scans WHERE run_id = ?"
    " ORDER BY seq DESC LIMIT 1"
)
_BEAT: Final = (
    "SELECT at, interval_s, next_due, state FROM heartbeats WHERE run_id = ? ORDER BY seq DESC LIMIT 1"
)
_CONFIG: Final = (
    "SELECT number, config FROM desk_changes WHERE run_id = ? AND config != '{}' ORDER BY number DESC LIMIT 1"
)


class DeskCode(Protocol):
    """The decision code as pictures need it; it lies above the queries and is handed down."""

    def desk(self, desk: Mapping[str, Any], config: Mapping[str, Any], at: datetime) -> DeskFacts:
        """A stored account by the run's numbers (empty: the settings'), its rate limits at ``at``. Raises
        TradingAIError when it cannot be read.
        """
        ...

    def shares(
        self, kinds: Collection[str], config: Mapping[str, Any], rule: Mapping[str, Any] | None
    ) -> Mapping[str, float]:
        """The share of each kind of model that takes part, by an ensemble's rule (None: no ensemble speaks,
        the run's weights hold and the agent takes no part).
        """
        ...

    def unfit(self, live: Iterable[tuple[str, str, str]], rule: Mapping[str, Any]) -> str:
        """Why a live ensemble says nothing of what is live, (model, version, hash) each; empty if it does."""
        ...


class MonitorReader:
    """Reads the Monitor's part of pictures, one after another."""

    def __init__(self, paths: HomePaths, code: DeskCode, budget_ms: float) -> None:
        """``budget_ms`` is what a scan may take (LATENCY_BUDGET_MS)."""
        self._paths = paths
        self._code = code
        self._budget_ms = budget_ms
        self._watch: _RunReader | None = None

    def read(
        self,
        connection: sqlite3.Connection,
        run: WatchedRun,
        now: datetime,
        *,
        coin: str | None = None,
        signal: str = "",
        kill_since: datetime | None = None,
    ) -> MonitorView:
        """The run as it is, with prices of ``coin`` (None: of the first) and the decision of ``signal``.

        ``now`` is the machine's time; ``kill_since`` is when the kill switch was turned on, while it is on.
        """
        if self._watch is None or self._watch.key != (run.run, run.first_at, run.last_at):
            self._watch = _RunReader(self._paths, self._code, run)
        with one_moment(connection):
            view = self._watch.read(connection, run, now, coin, kill_since)
            decision = self._watch.decision_of(connection, signal) if signal else None
            replays = connection.execute("SELECT 1 FROM runs WHERE kind = 'replay' LIMIT 1").fetchone()
        view = replace(view, decision=decision, replays=replays is not None)
        return replace(view, latency=replace(view.latency, budget_ms=self._budget_ms))


class _RunReader:
    """What was read of one run so far."""

    def __init__(self, paths: HomePaths, code: DeskCode, run: WatchedRun) -> None:
        self.key = (run.run, run.first_at, run.last_at)
        self._code = code
        self._live = run.kind == "live"
        self._scans = RollingScans(run.run, live=self._live)
        self._held = HeldByKill(run.run)
        self._signals = RunSignals(run.run)
        self._prices = prices_of(run, paths)
        self._rules = EnsembleRules(paths)
        self._coins: dict[str, CoinNow] = {}
        self._coins_seq = 0
        self._desk: tuple[str, int, DeskFacts] = ("", 0, NO_DESK)
        self._config: tuple[int, Mapping[str, Any]] = (0, {})
        self._problem: Problem | None = None

    def read(
        self,
        connection: sqlite3.Connection,
        run: WatchedRun,
        now: datetime,
        coin: str | None,
        kill_since: datetime | None,
    ) -> MonitorView:
        self._problem = None
        scan = connection.execute(_LAST_SCAN, (run.run,)).fetchone()
        last, at = (0, run.started_at) if scan is None else (scan["seq"], parse_iso(scan["at"]))
        start = at - timedelta(hours=WINDOW_HOURS) if self._live else None
        self._scans.follow(connection, start, last)
        desk = self._read_desk(connection, run.run, now if self._live else at)
        coins = self._read_coins(connection, run.run, last, at)
        shown = coin if coin in self._coins else next(iter(self._coins), None)
        signals = self._signals.follow(connection, desk)
        view = MonitorView(
            run=run,
            coins=coins,
            funnel=FunnelView(
                WINDOW_HOURS if self._live else None,
                self._scans.scans,
                self._scans.decisions,
                dict(self._scans.by_reason),
            ),
            signals=signals,
            signals_in_window=self._scans.by_reason["emitted"],
            tiers=dict(self._scans.by_tier),
            rates=desk.rates,
            latency=self._latency(scan),
            prices={} if shown is None else {shown: self._points(connection, shown, at)},
            positions=desk.positions,
            last_scan_at=None if scan is None else parse_iso(scan["due"]),
            last_scan_state="" if scan is None else scan["state"],
            last_scan_detail="" if scan is None else scan["detail"],
            held_by_kill=self._held_by_kill(connection, kill_since, last),
            hysteresis=desk.hysteresis,
            guard=desk.guard,
            guard_since=desk.guard_since,
            guard_detail=desk.guard_detail,
            problem=self._problem,
        )
        view = self._with_results(connection, view, desk, start)
        return self._with_schedule(connection, view, scan)

    # -- parts

    def _held_by_kill(self, connection: sqlite3.Connection, since: datetime | None, last: int) -> int:
        if not self._live:
            return 0
        if since is None:
            return self._scans.by_reason["killed"]
        return self._held.follow(connection, since, last)

    def _latency(self, scan: sqlite3.Row | None) -> LatencyView:
        scans = self._scans
        last = None if scan is None else scan["latency_ms" if self._live else "took_ms"]
        return LatencyView(
            last_ms=last,
            p50_ms=scans.percentile(0.50),
            p99_ms=scans.percentile(0.99),
            scans=scans.scans,
            late=scans.by_state["late"],
            failed=scans.by_state["failed"],
            recent_ms=tuple(scans.recent),
        )

    def _with_results(
        self, connection: sqlite3.Connection, view: MonitorView, desk: DeskFacts, start: datetime | None
    ) -> MonitorView:
        """A replay's results are its account's; the live run's are those of the window."""
        if start is None:
            return replace(view, closed=desk.closed, win_rate=desk.win_rate, net_r=desk.net_r)
        found = closed_trades(connection, view.run.run, start)
        net_r = found.net_r if found.closed else None
        return replace(view, closed=found.closed, win_rate=found.win_rate, net_r=net_r)

    def _with_schedule(
        self, connection: sqlite3.Connection, view: MonitorView, scan: sqlite3.Row | None
    ) -> MonitorView:
        if not self._live:
            run = view.run
            if run.scans < 2 or run.now is None or run.first_at is None:
                return view
            return replace(view, interval_s=(run.now - run.first_at).total_seconds() / (run.scans - 1))
        beat = connection.execute(_BEAT, (view.run.run,)).fetchone()
        if beat is None:
            return view
        due = unstamp(beat["next_due"])
        if scan is not None and parse_iso(scan["at"]) > parse_iso(beat["at"]):
            due = parse_iso(scan["due"]) + timedelta(seconds=beat["interval_s"])
        return replace(
            view, interval_s=beat["interval_s"], next_due=None if beat["state"] == "stopped" else due
        )

    def _read_desk(self, connection: sqlite3.Connection, run: str, at: datetime) -> DeskFacts:
        row = connection.execute("SELECT desk FROM run_accounts WHERE run_id = ?", (run,)).fetchone()
        config = connection.execute(_CONFIG, (run,)).fetchone()
        if config is not None and config["number"] != self._config[0]:
            self._config = (config["number"], json.loads(config["config"]))
        if row is None:
            return NO_DESK
        text, number = row["desk"], self._config[0]
        if (text, number) != self._desk[:2] or self._live:
            try:
                facts = self._code.desk(json.loads(text), self._config[1], at)
            except TradingAIError as error:
                self._problem, facts = Problem(error.message, error.remedy), NO_DESK
            self._desk = (text, number, facts)
        return self._desk[2]

    def _points(self, connection: sqlite3.Connection, coin: str, at: datetime) -> tuple[Bar, ...]:
        try:
            return self._prices.points(connection, coin, at)
        except TradingAIError as error:
            self._problem = self._problem or Problem(error.message, error.remedy)
            return ()

    def _price(self, connection: sqlite3.Connection, coin: str, at: datetime) -> Price | None:
        try:
            return self._prices.price(connection, coin, at)
        except TradingAIError as error:
            self._problem = self._problem or Problem(error.message, error.remedy)
            return None

    # -- coins

    def decision_of(self, connection: sqlite3.Connection, signal: str) -> CoinNow | None:
        """The decision that emitted a signal."""
        run = self.key[0]
        row = connection.execute(_EMITTED, (run, signal)).fetchone()
        return None if row is None else self._coin(connection, run, row)

    def _read_coins(
        self, connection: sqlite3.Connection, run: str, last: int, at: datetime
    ) -> tuple[CoinNow, ...]:
        """The decision that stands for each coin: the newest one that had a candle to decide on."""
        newest = connection.execute(_NEWEST, (run, run)).fetchall()
        if last != self._coins_seq:
            for row in newest:
                self._coins[row["symbol"]] = self._standing(connection, run, row)
            self._coins = {row["symbol"]: self._coins[row["symbol"]] for row in newest}
            self._coins_seq = last
        return tuple(self._priced(connection, coin, at) for coin in self._coins.values())

    def _priced(self, connection: sqlite3.Connection, coin: CoinNow, at: datetime) -> CoinNow:
        price = self._price(connection, coin.symbol, at)
        if price is None:
            return coin
        return replace(coin, price=price.value, price_at=price.closed_at, change_15m=price.change)

    def _standing(self, connection: sqlite3.Connection, run: str, row: sqlite3.Row) -> CoinNow:
        symbol = row["symbol"]
        if row["reason"] != "no_new_candle":
            return self._coin(connection, run, row)
        kept = self._coins.get(symbol)
        after = kept.scan if kept is not None else 0
        found = connection.execute(_STANDING, (run, symbol, after)).fetchone()
        if found is not None:
            kept = self._coin(connection, run, found)
        elif kept is None:
            kept = self._coin(connection, run, row)
        return replace(kept, again_at=parse_iso(row["at"]))

    def _shares(self, outputs: Mapping[str, Any], versions: Mapping[str, str]) -> Mapping[str, float]:
        """Each model's share, by the rule of the ensemble that spoke; none when that rule cannot be read."""
        rule = None
        if ENSEMBLE in versions:
            rule = self._rules.rule(versions[ENSEMBLE])
            if rule is None:
                return {}
        kinds = {model: model_kind(model) for model in outputs}
        shares = self._code.shares(set(kinds.values()), self._config[1], rule)
        return {model: shares[kind] for model, kind in kinds.items() if kind in shares}

    def _coin(self, connection: sqlite3.Connection, run: str, row: sqlite3.Row) -> CoinNow:
        said, versions = json.loads(row["outputs"]), json.loads(row["versions"])
        outputs = {model: said[model] for model in in_order(set(said), ())}
        seen = connection.execute(_INPUTS, (run, row["scan_seq"], row["symbol"])).fetchone()
        return CoinNow(
            symbol=row["symbol"],
            at=parse_iso(row["at"]),
            p_up=row["p_up"],
            confidence=row["confidence"],
            side=row["side"] or "",
            tier=row["tier"] or "",
            reason=row["reason"],
            detail=row["detail"],
            threshold=row["threshold"],
            candle=unstamp(row["candle"]),
            size_factor=row["size_factor"],
            failed=bool(row["failed"]),
            outputs=outputs,
            weights=self._shares(outputs, versions),
            versions=versions,
            input_sha256=row["input_sha256"],
            features_sha256="" if seen is None else seen["features_sha256"],
            candles=None if seen is None else seen["candles"],
            signal_key=row["signal_key"] or "",
            scan=row["scan_seq"],
        )
