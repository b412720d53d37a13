"""Every setting: its name, default, allowed range and meaning, in groups.

The environment name of a field is its name in capitals. ``.env.example`` is made from this file
(:func:`tradingai.engine.core.settings.example_file`), group docstrings as headings.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tradingai.engine.core.setting_types import (
    ChatIds,
    DatabaseUrl,
    HttpUrl,
    ProxyUrl,
    Symbols,
    Token,
    Weights,
)
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS, Market


class SettingGroup(BaseModel):
    """Base of the groups: frozen, and no infinities or NaN for numbers.

    Only :class:`tradingai.engine.core.settings.Settings`, which joins them, is ever built.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, defer_build=True)


class CoreSettings(SettingGroup):
    """Database, logs and jobs"""

    db_url: DatabaseUrl = Field(
        "sqlite:///tradingai.db",
        description="The database. A relative name lies in the home, sqlite:////absolute/path elsewhere.",
        json_schema_extra={"allowed": "sqlite:///FILE; other databases are not supported yet"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important messages in the log files (docs/logging.md)."
    )
    log_file_mb: int = Field(20, ge=1, le=1000, description="A process log is rotated at this size, in MB.")
    log_files: int = Field(
        5, ge=1, le=100, description="Rotated logs kept for each process, and logs of ended ones."
    )
    event_days: int = Field(30, ge=1, le=3650, description="Events older than this many days are pruned.")
    job_workers: int = Field(
        0, ge=0, le=64, description="Jobs that run at once; 0 means one for each CPU core."
    )
    job_threads: int = Field(
        1, ge=1, le=64, description="Torch threads of one job; part of the job and of its checkpoint."
    )


class ProviderSettings(SettingGroup):
    """Where candles come from"""

    data_provider: Literal["synthetic", "ccxt", "yfinance", "file"] = Field(
        "synthetic",
        description="What scans follow: a generated market or EXCHANGE; the others have no live candles.",
    )
    symbols: Symbols = Field(
        PIPELINE_SYMBOLS,
        description="The coins of the pipeline and the scan loop.",
        json_schema_extra={"allowed": "pairs as BASE-QUOTE separated by commas, for example BTC-USD,ETH-USD"},
    )
    synthetic_market: Market = Field("cycles", description="What there is to learn in the synthetic market.")
    synthetic_seed: int = Field(7, ge=0, lt=2**63, description="Seed of the synthetic market.")
    exchange: str = Field(
        "binance",
        pattern=r"^[a-z0-9]+$",
        description="The ccxt exchange, for example binance, kraken, coinbase.",
        json_schema_extra={"allowed": "a ccxt exchange id in lower case, for example binance"},
    )
    exchange_api_url: HttpUrl | None = Field(
        None,
        description="Another server that speaks the exchange's API, for example a mirror of its market data.",
        json_schema_extra={
            "allowed": "http:// or https:// with a host, for example https://data-api.binance.vision"
        },
    )
    proxy_url: ProxyUrl | None = Field(
        None,
        description="Proxy for providers and Telegram, for example socks5://127.0.0.1:1080. A secret.",
        json_schema_extra={"allowed": "http://, https://, socks5:// or socks5h:// with a host"},
    )
    provider_timeout_s: float = Field(10, gt=0, le=300, description="Longest wait for one answer.")
    provider_retries: int = Field(5, ge=0, le=100, description="Repeats of a failed request, with back-off.")


class DecisionSettings(SettingGroup):
    """Signals and the scan loop"""

    confidence_threshold: float = Field(
        0.75, ge=0.5, lt=1, description="A signal needs at least this calibrated confidence."
    )
    ensemble_weights: Weights = Field(
        (0.35, 0.40, 0.25),
        description="Shares of LSTM, Transformer and RL; renormalised over the models promoted.",
        json_schema_extra={
            "allowed": "three numbers from 0 to 1 that add up to 1",
            "example": "0.35,0.40,0.25",
        },
    )
    tier_hysteresis: float = Field(
        0.02, ge=0, le=0.1, description="Confidence has to fall this far below a tier to leave it."
    )
    kill_switch: bool = Field(
        default=False, description="true: nothing is emitted, and `kill off` is refused while it is set."
    )
    max_signals_per_hour: int = Field(
        10, ge=1, le=1000, description="Signals in any 60 minutes, all coins together."
    )
    max_signals_per_hour_high: int = Field(
        5,
        ge=1,
        le=1000,
        description="High-tier signals in any 60 minutes.",
        json_schema_extra={"allowed": "a whole number from 1 to MAX_SIGNALS_PER_HOUR"},
    )
    latency_budget_ms: float = Field(500, gt=0, le=60_000, description="Budget of one scan (p99).")
    scan_interval_s: int = Field(
        120,
        ge=60,
        le=3600,
        multiple_of=60,
        description="Seconds between scans, aligned to the clock.",
        json_schema_extra={"allowed": "whole minutes from 60 to 3600 seconds"},
    )
    max_candle_age_s: float = Field(
        180, ge=60, le=3600, description="A last closed candle older than this is stale."
    )
    heartbeat_s: float = Field(30, ge=1, le=300, description="Seconds between heartbeats of the engine.")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of /metrics and /healthz on 127.0.0.1; 0 is off."
    )
    cloudwatch_emf: bool = Field(
        default=False,
        description="true: log lines of scans, decisions, signals and heartbeats are CloudWatch metrics too.",
    )


class PaperSettings(SettingGroup):
    """Paper account and costs"""

    paper_balance: float = Field(200_000, gt=0, le=1e9, description="Initial balance in dollars.")
    paper_risk_pct: float = Field(
        0.25, gt=0, le=5, description="Risk of one trade, percent of the initial balance."
    )
    paper_stop_atr: float = Field(4, gt=0, le=100, description="Stop loss, in ATR(14).")
    paper_target_atr: float = Field(8, gt=0, le=100, description="Take profit, in ATR(14).")
    paper_time_exit_minutes: int = Field(15, ge=1, le=1440, description="A trade is closed after this time.")
    backoff_losses: int = Field(2, ge=1, le=100, description="Losses that bring the back-off.")
    backoff_window_minutes: int = Field(60, ge=1, le=1440, description="The losses fall within this time.")
    backoff_risk_factor: float = Field(
        0.5, gt=0, le=1, description="Risk until Prague midnight after a back-off, as a factor."
    )
    default_spread_bps: float = Field(
        12, ge=0, le=1000, description="Spread until execution costs were measured, in basis points."
    )
    default_slippage_bps: float = Field(
        3, ge=0, le=1000, description="Slippage until execution costs were measured, in basis points."
    )


class FtmoSettings(SettingGroup):
    """FTMO guard; percentages are of the initial balance (rules as published in November 2025)"""

    ftmo_account: Literal["2-step", "1-step"] = Field("2-step", description="Which rules hold.")
    ftmo_phase: int = Field(1, ge=1, le=2, description="Phase of a 2-Step challenge.")
    ftmo_2step_daily_loss_pct: float = Field(5, gt=0, le=100, description="2-Step: daily loss.")
    ftmo_2step_max_loss_pct: float = Field(10, gt=0, le=100, description="2-Step: maximum loss.")
    ftmo_2step_trailing: bool = Field(
        default=False, description="2-Step: true where the account says that its maximum loss trails."
    )
    ftmo_2step_target_1_pct: float = Field(10, gt=0, le=100, description="2-Step: target of phase 1.")
    ftmo_2step_target_2_pct: float = Field(5, gt=0, le=100, description="2-Step: target of phase 2.")
    ftmo_2step_min_days: int = Field(4, ge=0, le=365, description="2-Step: trading days in each phase.")
    ftmo_1step_daily_loss_pct: float = Field(3, gt=0, le=100, description="1-Step: daily loss.")
    ftmo_1step_max_loss_pct: float = Field(
        10, gt=0, le=100, description="1-Step: maximum loss, trailing at the end of the day."
    )
    ftmo_1step_target_pct: float = Field(10, gt=0, le=100, description="1-Step: target.")
    ftmo_1step_best_day_pct: float = Field(
        50, gt=0, le=100, description="1-Step: largest share of the profit that one day may have."
    )
    ftmo_commission_pct: float = Field(
        0.0325, ge=0, le=1, description="Commission on crypto, percent of the notional a side."
    )
    ftmo_stop_fraction: float = Field(
        0.9, gt=0, le=1, description="Internal stops lie at this fraction of each limit."
    )
    ftmo_equity_max_age_s: float = Field(
        300, gt=0, le=3600, description="An equity older than this is stale, which is a halt."
    )
    ftmo_reset_warning_minutes: int = Field(
        60, ge=0, le=1440, description="Warn this long before a reset that would breach."
    )


class TelegramSettings(SettingGroup):
    """Telegram"""

    telegram_token: Token | None = Field(
        None,
        description="The bot's token from @BotFather. A secret; without it Telegram is off.",
        json_schema_extra={"allowed": "a bot token, digits:secret, as @BotFather gives it"},
    )
    telegram_chat_id: int | None = Field(None, description="The chat that gets the alerts.")
    telegram_allowed_chats: ChatIds = Field(
        (),
        description="Further chats whose commands are obeyed.",
        json_schema_extra={"allowed": "chat numbers separated by commas"},
    )
    telegram_allowed_users: ChatIds = Field(
        (),
        description="Users whose commands are obeyed; in a private chat the chat's number is enough.",
        json_schema_extra={"allowed": "user numbers separated by commas"},
    )
    telegram_api_url: HttpUrl = Field(
        "https://api.telegram.org",
        description="The Bot API server.",
        json_schema_extra={"allowed": "http:// or https:// with a host"},
    )
    telegram_confirm_s: int = Field(60, ge=10, le=600, description="A confirmation code is valid this long.")
    telegram_confirm_failures: int = Field(5, ge=1, le=100, description="Wrong codes that lock the commands.")
    telegram_lock_minutes: int = Field(60, ge=1, le=1440, description="How long they stay locked.")
    telegram_update_max_age_s: int = Field(
        60, ge=5, le=3600, description="Older commands are ignored, except `kill_switch on`."
    )
    telegram_summary_hour: int = Field(6, ge=0, le=23, description="Hour (UTC) of the daily summary.")


class ObservationSettings(SettingGroup):
    """Observation and GO / NO-GO"""

    observation_hours: float = Field(72, gt=0, le=8760, description="Continuous runtime needed.")
    observation_max_gap_s: float = Field(
        300, gt=0, le=86_400, description="A longer gap between heartbeats restarts the clock."
    )
    observation_min_trades: int = Field(
        300, ge=1, le=1_000_000, description="Fewer closed trades are INSUFFICIENT: extend."
    )
    observation_win_rate_margin_pct: float = Field(
        5, gt=0, le=100, description="Win rate within this many points of the backtest."
    )
    observation_win_rate_drop_pct: float = Field(
        10, gt=0, le=100, description="The interval has to exclude a drop of this many points."
    )
    observation_tier_margin_pct: float = Field(
        5, gt=0, le=100, description="Tier shares within this many points of the backtest."
    )
    observation_baseline_days: float = Field(
        30, gt=0, le=365, description="The baseline is a replay of at most the last days of the test range."
    )


class ConsoleSettings(SettingGroup):
    """Console"""

    console_theme: Literal["dark", "light"] = Field("dark", description="Theme of a first start.")
    console_mouse: bool = Field(default=True, description="false: the mouse is left to the terminal.")
    console_refresh_hz: float = Field(4, ge=0.5, le=4, description="Refreshes a second at the most.")
