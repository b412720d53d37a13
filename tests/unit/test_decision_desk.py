"""The desk through losses, midnights, breaches and restarts; and how settings reach it."""

import json
import math
from dataclasses import replace

import pytest
from tradingai.engine.core.errors import ArtifactError, StoreError
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.desk import advance, decide, halt_desk, status_of
from tradingai.engine.decision.records import (
    Reason,
    decisions_sha256,
)
from tradingai.engine.decision.state import DeskConfig, DeskState, desk_from_json
from tradingai.engine.risk.guard import GuardStatus

from tests.fakes.desk import AT, CONFIG, FRESH, MINUTE, bars, coin, decide_one, flat, opened, scan

# ----------------------------------------------------------------------------------------- the account


def lose(state: DeskState, config: DeskConfig, at: int) -> DeskState:
    """A signal at ``at`` that is stopped two minutes later."""
    state, decision = decide_one(state, coin(at=at), config, at=at)
    assert decision.emitted, decision.detail
    state = advance(state, config, flat(at + MINUTE), at + MINUTE).state
    end = at + 2 * MINUTE
    return advance(state, config, bars(end, 40_000, 40_000, 39_800, 39_900), end).state


def test_two_losses_halve_the_next_trade_until_prague_midnight():
    state = lose(lose(FRESH, CONFIG, AT), CONFIG, AT + 10 * MINUTE)
    assert state.guard.status is GuardStatus.REDUCING
    at = AT + 20 * MINUTE
    _, decision = decide_one(state, coin(at=at), at=at)
    assert (decision.reason, decision.size_factor, decision.signal.risk_money) == (Reason.EMITTED, 0.5, 250.0)
    midnight = state.ftmo.next_reset_us
    _, decision = decide_one(state, coin(at=midnight), at=midnight)
    assert (decision.size_factor, decision.signal.risk_money) == (1.0, 500.0)


def test_midnight_takes_the_balance_it_found_and_starts_a_day():
    state = lose(FRESH, CONFIG, AT)
    balance = state.paper.balance
    assert balance == pytest.approx(200_000 - 693.27542584375)
    advanced = advance(state, CONFIG, flat(state.ftmo.next_reset_us), state.ftmo.next_reset_us)
    assert advanced.state.ftmo.day_start_balance == balance
    assert [event.balance for event in advanced.events] == [balance]
    assert advanced.state.ftmo.days_traded == 1


def test_what_closes_after_midnight_belongs_to_the_new_day():
    night = FRESH.ftmo.next_reset_us - 2 * MINUTE
    state, _ = decide_one(FRESH, coin(at=night), at=night)
    state = advance(state, CONFIG, flat(night + MINUTE), night + MINUTE).state
    before = state.paper.balance  # the entry commission is paid
    midnight = night + 2 * MINUTE
    state = advance(state, CONFIG, bars(midnight, 40_000, 40_000, 39_000, 39_500), midnight).state
    assert state.ftmo.day_start_balance == before
    assert state.paper.balance < before
    assert (state.ftmo.days_traded, state.ftmo.last_traded_day) == (1, state.ftmo.day - 1)


def test_a_night_costs_swap():
    config = replace(CONFIG, costs=replace(CONFIG.costs, swap_bps_per_night=2.0))
    night = FRESH.ftmo.next_reset_us - 2 * MINUTE
    state, _ = decide_one(FRESH, coin(at=night), config, at=night)
    state = advance(state, config, flat(night + MINUTE), night + MINUTE).state
    midnight = night + 2 * MINUTE
    held = advance(state, config, flat(midnight), midnight).state
    assert held.paper.positions[0].swap == pytest.approx(-25.0)  # 2 bps of 3.125 x 40,000
    later = advance(held, config, flat(midnight + MINUTE), midnight + MINUTE).state
    assert later.paper.positions[0].swap == held.paper.positions[0].swap
    at_scan = decide(state, config, scan(coin(at=midnight), at=midnight)).state
    assert at_scan.paper.positions[0].swap == held.paper.positions[0].swap


def test_a_breach_halts_for_good():
    # 3.125 BTC fall 4,000: -12,500 and more, below 190,000
    advanced = advance(
        opened(), CONFIG, bars(AT + 2 * MINUTE, 36_000, 36_000, 36_000, 36_000), AT + 2 * MINUTE
    )
    assert advanced.state.guard.cause == "daily_limit"
    assert advanced.state.ftmo.breach.limit == "daily"
    names = [type(event).__name__ for event in advanced.events]
    assert names == ["PositionClosed", "FtmoLimitBreached", "GuardStateChanged"]


def test_an_idle_minute_changes_nothing():
    assert advance(FRESH, CONFIG, flat(AT), AT) == (FRESH, (), ())


def test_status_tells_distances_in_money():
    status = status_of(opened(), CONFIG, AT + 2 * MINUTE)
    equity = 200_000 - 40.6615625 - (40_036 - 39_976) * 3.125  # marked at 40,000 - 6 bps
    assert status.equity == pytest.approx(equity)
    assert status.floors[0].left == pytest.approx(equity - 191_000)
    assert status.equity_if_stopped == pytest.approx(200_000 - 693.27542584375)
    assert status.objective.days_traded == 1


# ----------------------------------------------------------------------------------- survives restarts


def rich() -> DeskState:
    state = lose(lose(FRESH, CONFIG, AT), CONFIG, AT + 10 * MINUTE)
    at = AT + 20 * MINUTE
    state, _ = decide_one(state, coin(at=at), at=at)
    state = advance(state, CONFIG, flat(at + MINUTE, 40_000.123456789), at + MINUTE).state
    state, _ = decide_one(state, coin("ETH-USD", 0.2, at=at + 2 * MINUTE), at=at + 2 * MINUTE)
    return halt_desk(replace(state, ftmo=replace(state.ftmo, best_day_profit=0.1)), at, "drill", "x")[0]


@pytest.mark.parametrize("state", [FRESH, opened(), rich()])
def test_state_survives_json_bit_for_bit(state):
    assert desk_from_json(json.loads(dumps(state.as_json()))) == state


def test_a_damaged_state_is_refused_by_name():
    document = FRESH.as_json()
    document["paper"]["balance"] = "much"
    with pytest.raises(StoreError, match=r"paper\.balance"):
        desk_from_json(document)
    with pytest.raises(StoreError, match="guard"):
        desk_from_json({name: part for name, part in FRESH.as_json().items() if name != "guard"})


def test_a_restart_at_every_step_changes_no_decision_and_no_trade():
    def play(*, restart: bool):
        state, decisions, trades = FRESH, [], []
        for minute in range(120):
            ts = AT + minute * MINUTE
            if minute % 2 == 0:
                p = 0.5 + 0.45 * math.sin(minute / 7)
                decided = decide(
                    state, CONFIG, scan(coin(p_up=p, at=ts), coin("ETH-USD", 1 - p, at=ts), at=ts)
                )
                state = decided.state
                decisions.extend(decided.decisions)
            price = 40_000 + 150 * math.sin(minute / 5)
            both = {**bars(ts, price, price + 60, price - 60, price + 5)}
            both["ETH-USD"] = both["BTC-USD"]
            advanced = advance(state, CONFIG, both, ts)
            trades.extend(advanced.trades)
            state = desk_from_json(json.loads(dumps(advanced.state.as_json()))) if restart else advanced.state
        return decisions_sha256(decisions), trades, state

    straight, restarted = play(restart=False), play(restart=True)
    assert straight == restarted
    assert len(straight[1]) > 5


def test_the_digest_covers_what_was_decided_and_not_how_fast_or_in_which_mode():
    def digest(**how):
        one = coin(p_up=how.pop("p_up", 0.8))
        return decisions_sha256(decide(FRESH, CONFIG, scan(one, **how)).decisions)

    assert digest(latency_ms=1.0, mode="replay") == digest(latency_ms=99.0, mode="backtest")
    assert digest(p_up=0.8) != digest(p_up=0.8000001)
    assert digest(threshold=0.75) != digest(threshold=0.76)


# -------------------------------------------------------------------------------------------- settings


def test_the_settings_defaults_are_the_specified_numbers(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    found = desk_config(Settings(_env_file=None))
    assert found == replace(DeskConfig(), costs=replace(DeskConfig().costs, commission_rate=0.0325 / 100))
    assert found.costs.commission_rate == pytest.approx(0.000325)


def test_settings_reach_the_rules(monkeypatch):
    monkeypatch.setenv("FTMO_ACCOUNT", "1-step")
    monkeypatch.setenv("FTMO_1STEP_DAILY_LOSS_PCT", "2.5")
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "0.2,0.3,0.5")
    monkeypatch.setenv("DEFAULT_SPREAD_BPS", "20")
    found = desk_config(Settings(_env_file=None))
    assert (found.risk.rules.name, found.risk.rules.daily_loss) == ("1-Step", 0.025)
    assert found.risk.rules.max_loss_mode == "trailing"
    assert found.decision.ensemble.weights == (0.2, 0.3, 0.5)
    assert found.costs.expected("BTC-USD", AT).spread_bps == 20.0


def test_measured_costs_reach_the_fills_and_damaged_ones_are_refused():
    spread = {"mean": 8.0, "p50": 8.0, "p90": 8.0, "samples": 10}
    slippage = {"mean": 1.0, "p50": 1.0, "p90": 1.0, "samples": 10}
    metrics = {
        "source": "ccxt:binance",
        "measured_at": "2025-11-10T00:00:00Z",
        "pairs": {"BTC-USD": {"london": {"spread_bps": spread, "slippage_bps": slippage}}},
    }
    config = desk_config(Settings(_env_file=None), metrics)
    assert config.costs.drawn("BTC-USD", AT) == (8.0, 1.0)
    assert config.costs.source == "ccxt:binance"
    signal = decide_one(FRESH, coin(), config)[1].signal
    assert signal.entry == pytest.approx(40_020.0)  # 4 + 1 = 5 bps
    with pytest.raises(ArtifactError):
        desk_config(Settings(_env_file=None), {"pairs": {"BTC-USD": 3}})
