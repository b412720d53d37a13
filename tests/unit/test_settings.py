"""Settings: every mistake at once, secrets hidden, .env.example in step with the class."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from tradingai.engine.core.errors import SettingsError
from tradingai.engine.core.settings import (
    GROUPS,
    Settings,
    example_file,
    load_settings,
    settings_from_worker,
)

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "123456:AAbbCC-dd_EE"


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def mistakes(home: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(home)
    assert caught.value.exit_status == 2
    return caught.value.message


def test_defaults_are_the_specifications(tmp_path):
    settings = load_settings(tmp_path)
    assert settings.data_provider == "synthetic"
    assert settings.database_path(tmp_path) == tmp_path / "tradingai.db"
    assert settings.confidence_threshold == 0.75
    assert settings.ensemble_weights == (0.35, 0.40, 0.25)
    assert settings.kill_switch is False
    assert (settings.max_signals_per_hour, settings.max_signals_per_hour_high) == (10, 5)
    assert settings.latency_budget_ms == 500
    assert settings.telegram_token is None
    assert settings.telegram_chat_id is None
    assert settings.symbols == ("BTC-USD", "ETH-USD", "BNB-USD")
    assert (settings.ftmo_2step_daily_loss_pct, settings.ftmo_1step_daily_loss_pct) == (5, 3)
    assert settings.ftmo_commission_pct == 0.0325
    assert (settings.paper_risk_pct, settings.paper_stop_atr, settings.paper_target_atr) == (0.25, 4, 8)
    assert (settings.observation_hours, settings.observation_max_gap_s) == (72, 300)


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    lines = "CONFIDENCE_THRESHOLD=0.6\nMAX_SIGNALS_PER_HOUR=20 # more\nKILL_SWITCH=true\n"
    (tmp_path / ".env").write_text(lines)
    monkeypatch.setenv("CONFIDENCE_THRESHOLD", "0.8")
    settings = load_settings(tmp_path)
    assert (settings.confidence_threshold, settings.max_signals_per_hour) == (0.8, 20)
    assert settings.kill_switch is True


def test_an_empty_value_counts_as_not_given(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("TELEGRAM_TOKEN=\nCONFIDENCE_THRESHOLD=\n")
    monkeypatch.setenv("SYMBOLS", "")
    assert load_settings(tmp_path) == load_settings(tmp_path / "elsewhere")


def test_lists_are_separated_by_commas(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMBOLS", "btc, eth-usd ,BTC-USD")
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", "0.5, 0.5, 0")
    monkeypatch.setenv("TELEGRAM_ALLOWED_CHATS", "-100123,42")
    settings = load_settings(tmp_path)
    assert settings.symbols == ("BTC-USD", "ETH-USD")
    assert settings.ensemble_weights == (0.5, 0.5, 0.0)
    assert settings.telegram_allowed_chats == (-100123, 42)


def test_every_mistake_is_listed_at_once_with_name_value_and_what_is_allowed(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("KILL_SWITCH=maybe\nCONFIDENCE_TRESHOLD=0.9\nthis is no assignment\nUNRELATED=1\n")
    for name, value in {
        "CONFIDENCE_THRESHOLD": "1.5",
        "ENSEMBLE_WEIGHTS": "0.5,0.5",
        "MAX_SIGNALS_PER_HOUR_HIGH": "11",
        "SCAN_INTERVAL_S": "90",
        "DATA_PROVIDER": "bloomberg",
        "LATENCY_BUDGET_MS": "nan",
        "TELEGRAM_CHAT_ID": "me",
        "SYMBOLS": "BTC-USD,?!",
        "EXCHANGE": "Binance US",
        "TELEGRAM_API_URL": "api.telegram.org",
    }.items():
        monkeypatch.setenv(name, value)
    text = mistakes(tmp_path)
    assert text.startswith("13 settings are wrong:\n")
    assert "CONFIDENCE_THRESHOLD='1.5'; allowed: a number from 0.5 and below 1" in text
    assert "ENSEMBLE_WEIGHTS='0.5,0.5'" in text
    assert "three numbers from 0 to 1 that add up to 1" in text
    assert "MAX_SIGNALS_PER_HOUR_HIGH='11' (more than MAX_SIGNALS_PER_HOUR)" in text
    assert "SCAN_INTERVAL_S='90'; allowed: whole minutes from 60 to 3600 seconds" in text
    assert "DATA_PROVIDER='bloomberg'; allowed: one of synthetic, ccxt, yfinance, file" in text
    assert "LATENCY_BUDGET_MS='nan'" in text
    assert "TELEGRAM_CHAT_ID='me'; allowed: a whole number" in text
    assert "SYMBOLS='BTC-USD,?!' (unknown symbol '?!')" in text
    assert "EXCHANGE='Binance US'" in text
    assert "TELEGRAM_API_URL='api.telegram.org'" in text
    assert "KILL_SWITCH='maybe'; allowed: true or false" in text
    assert f"CONFIDENCE_TRESHOLD in {file} is no setting; did you mean CONFIDENCE_THRESHOLD?" in text
    assert f"line 3 of {file} is not NAME=value" in text
    assert "UNRELATED" not in text


@pytest.mark.parametrize("weights", ["0.5,0.6,-0.1", "0.5,0.6,0.1", "1", "a,b,c"])
def test_weights_are_three_shares_of_one(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("ENSEMBLE_WEIGHTS", weights)
    assert "three numbers from 0 to 1 that add up to 1" in mistakes(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://user:pw@host/db", "postgres://h/d", "mysql://h/d"])
def test_another_database_is_not_supported_yet(tmp_path, monkeypatch, url):
    monkeypatch.setenv("DB_URL", url)
    text = mistakes(tmp_path)
    assert f"{url.split(':')[0]}:// is not supported yet" in text
    assert "sqlite:///FILE" in text
    assert "pw" not in text


@pytest.mark.parametrize(
    "url", ["tradingai.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a/"]
)
def test_a_database_address_needs_a_file(tmp_path, monkeypatch, url):
    monkeypatch.setenv("DB_URL", url)
    assert "DB_URL" in mistakes(tmp_path)


def test_a_relative_database_lies_in_the_home_and_an_absolute_one_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_URL", "sqlite:///state/my.db")
    assert load_settings(tmp_path).database_path(tmp_path) == tmp_path / "state/my.db"
    monkeypatch.setenv("DB_URL", "sqlite:////var/lib/my.db")
    assert load_settings(tmp_path).database_path(tmp_path) == Path("/var/lib/my.db")


def test_secrets_never_show(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", f"  {TOKEN}\n")
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "42")
    monkeypatch.setenv("PROXY_URL", "socks5://operator:hunter2@127.0.0.1:1080")
    settings = load_settings(tmp_path)
    assert settings.telegram_token is not None
    assert settings.telegram_token.get_secret_value() == TOKEN
    shown = f"{settings!r} {settings} {settings.public()}"
    assert TOKEN not in shown
    assert "hunter2" not in shown


def test_a_wrong_secret_is_named_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", "not-a-token-but-secret")
    monkeypatch.setenv("PROXY_URL", "ftp://operator:hunter2@host")
    text = mistakes(tmp_path)
    assert "TELEGRAM_TOKEN" in text
    assert "PROXY_URL" in text
    assert "not-a-token-but-secret" not in text
    assert "hunter2" not in text


def test_a_token_needs_a_chat(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)
    assert "TELEGRAM_CHAT_ID is missing (TELEGRAM_TOKEN is given, but no chat)" in mistakes(tmp_path)


def test_an_unreadable_file_is_a_mistake(tmp_path):
    (tmp_path / ".env").mkdir()
    assert "cannot be read" in mistakes(tmp_path)
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xff\xfe")
    assert "UTF-8" in mistakes(tmp_path)


def test_settings_are_frozen(tmp_path):
    settings = load_settings(tmp_path)
    with pytest.raises(ValidationError):
        settings.kill_switch = True


def test_the_hash_follows_what_decides_and_nothing_else(tmp_path, monkeypatch):
    before = load_settings(tmp_path).settings_hash()
    for name, value in {"LOG_LEVEL": "debug", "CONSOLE_THEME": "light", "PROVIDER_TIMEOUT_S": "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "42")
    assert load_settings(tmp_path).settings_hash() == before
    monkeypatch.setenv("PAPER_RISK_PCT", "0.3")
    assert load_settings(tmp_path).settings_hash() != before
    monkeypatch.setenv("PAPER_RISK_PCT", "0.250")
    assert load_settings(tmp_path).settings_hash() == before


def test_a_worker_gets_everything_but_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "42")
    monkeypatch.setenv("PROXY_URL", "http://proxy:3128")
    monkeypatch.setenv("SYMBOLS", "SOL-USD")
    settings = load_settings(tmp_path)
    document = settings.for_worker()
    assert TOKEN not in str(document)
    monkeypatch.setenv("SYMBOLS", "XRP-USD")
    again = settings_from_worker(document)
    assert again.symbols == ("SOL-USD",)
    assert again.telegram_token is None
    assert again.proxy_url is not None
    assert again.proxy_url.get_secret_value() == "http://proxy:3128"
    assert again.settings_hash() == settings.settings_hash()


def test_the_example_file_is_the_one_the_class_makes():
    assert (REPOSITORY / ".env.example").read_text() == example_file(), (
        "write it again: python -c 'from tradingai.engine.core.settings import example_file as e; "
        'print(e(), end="")\' > .env.example'
    )


def test_the_example_file_names_every_setting_with_its_default(tmp_path, monkeypatch):
    text = (REPOSITORY / ".env.example").read_text()
    assigned = [line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert sorted(assigned) == sorted(name.upper() for name in Settings.model_fields)
    (tmp_path / ".env").write_text(text)
    assert load_settings(tmp_path) == load_settings(tmp_path / "elsewhere")


def test_every_setting_has_a_meaning_and_belongs_to_one_group():
    grouped = [name for group in GROUPS for name in group.model_fields]
    assert sorted(grouped) == sorted(Settings.model_fields)
    for group in GROUPS:
        for name, field in group.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name


def test_workers_default_to_the_cores_this_process_may_use(tmp_path, monkeypatch):
    assert load_settings(tmp_path).workers == len(os.sched_getaffinity(0))
    monkeypatch.setenv("JOB_WORKERS", "3")
    assert load_settings(tmp_path).workers == 3
