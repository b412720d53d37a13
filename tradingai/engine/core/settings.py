"""Settings: one frozen object read from the environment and the home's ``.env``, every mistake at once.

A variable of the environment wins over the same name in ``.env``; an empty value counts as not given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from dotenv.parser import Binding, parse_stream
from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from tradingai.engine.core.errors import SettingsError
from tradingai.engine.core.jsonio import digest, plain
from tradingai.engine.core.setting_groups import (
    ConsoleSettings,
    CoreSettings,
    DecisionSettings,
    FtmoSettings,
    ObservationSettings,
    PaperSettings,
    ProviderSettings,
    SettingGroup,
    TelegramSettings,
)
from tradingai.engine.core.setting_types import database_path

GROUPS: Final[tuple[type[SettingGroup], ...]] = (
    CoreSettings,
    ProviderSettings,
    DecisionSettings,
    PaperSettings,
    FtmoSettings,
    TelegramSettings,
    ObservationSettings,
    ConsoleSettings,
)
_SECRETS: Final = frozenset({"telegram_token", "proxy_url"})
_NOT_DECIDING: Final = frozenset(
    {
        *_SECRETS, *CoreSettings.model_fields, *ConsoleSettings.model_fields,
        *TelegramSettings.model_fields, *ObservationSettings.model_fields,
        "kill_switch", "metrics_port", "cloudwatch_emf", "provider_timeout_s", "provider_retries",
        "heartbeat_s",
    }
)  # fmt: skip
"""Settings that change nothing about what is decided; no part of :meth:`Settings.settings_hash`."""


class Settings(
    CoreSettings,
    ProviderSettings,
    DecisionSettings,
    PaperSettings,
    FtmoSettings,
    TelegramSettings,
    ObservationSettings,
    ConsoleSettings,
    BaseSettings,
):
    """All settings of one home. Made by :func:`load_settings`, never changed afterwards."""

    model_config = SettingsConfigDict(
        frozen=True, allow_inf_nan=False, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    @field_validator("max_signals_per_hour_high")
    @classmethod
    def _high_within_all(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("max_signals_per_hour")
        if most is not None and value > most:
            raise ValueError("more than MAX_SIGNALS_PER_HOUR")
        return value

    @field_validator("telegram_chat_id")
    @classmethod
    def _chat_belongs_to_token(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value == 0:
            raise ValueError("no chat has the number 0")
        if value is None and info.data.get("telegram_token") is not None:
            raise ValueError("TELEGRAM_TOKEN is given, but no chat")
        return value

    def database_path(self, home: Path) -> Path:
        """The database file of this home."""
        return database_path(self.db_url, home)

    @property
    def alert_chat(self) -> int | None:
        """The chat that gets the alerts; None without a token."""
        return self.telegram_chat_id if self.telegram_token else None

    @property
    def workers(self) -> int:
        """Jobs that may run at once: JOB_WORKERS, or one for each CPU core this process may use."""
        return self.job_workers or len(os.sched_getaffinity(0))

    def settings_hash(self) -> str:
        """SHA-256 over every setting that influences a decision; secrets are no part of it."""
        return digest(self.deciding())

    def deciding(self) -> dict[str, Any]:
        """Every setting that influences a decision, as JSON types."""
        return {name: value for name, value in self.public().items() if name not in _NOT_DECIDING}

    def public(self) -> dict[str, Any]:
        """Every setting that is no secret, as JSON types."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields if name not in _SECRETS}

    def for_worker(self) -> dict[str, Any]:
        """What a worker gets through its private pipe: everything but the bot's token."""
        proxy = self.proxy_url.get_secret_value() if self.proxy_url else None
        return {**self.public(), "proxy_url": proxy, "telegram_token": None}


def settings_from_worker(document: Mapping[str, Any]) -> Settings:
    """The inverse of :meth:`Settings.for_worker`; reads neither environment nor files."""
    return Settings(**{**document, "telegram_token": None})


def load_settings(home: Path) -> Settings:
    """Read environment and ``home/.env``. Raises SettingsError that lists every mistake."""
    env_file = home / ".env"
    bindings = _parse_env_file(env_file)
    mistakes = [*_unparsable(bindings, env_file), *_near_misses(bindings, env_file)]
    settings: Settings | None = None
    try:
        settings = Settings(_env_file=env_file if bindings else None)
    except ValidationError as error:
        mistakes = [*_mistakes(error), *mistakes]
    if mistakes or settings is None:
        listed = "\n".join(f"  - {mistake}" for mistake in mistakes)
        count = "1 setting is wrong" if len(mistakes) == 1 else f"{len(mistakes)} settings are wrong"
        raise SettingsError(
            f"{count}:\n{listed}",
            remedy=f"Correct them in the environment or in {env_file}; .env.example explains every setting.",
        )
    return settings


def example_file() -> str:
    """The text of ``.env.example``: every setting with its default, range and meaning."""
    lines = [
        "# Settings of TradingAI. Copy to .env in the home and change what you need.",
        "# A variable of the environment wins over this file; an empty value counts as not given.",
    ]
    for group in GROUPS:
        lines += ["", f"## {group.__doc__}"]
        for name, field in group.model_fields.items():
            lines += [
                "",
                f"# {field.description}",
                f"# Allowed: {_allowed(field)}.",
                _assignment(name, field),
            ]
    return "\n".join(lines) + "\n"


def env_text(settings: Settings) -> str:
    """A ``.env`` that says what these settings say, secrets left out."""
    names = [name for name in Settings.model_fields if name not in _SECRETS]
    return "".join(f"{_written(name, getattr(settings, name))}\n" for name in names)


def _assignment(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "example" in extra:
        return f"{name.upper()}={extra['example']}"
    return _written(name, field.default)


def _written(name: str, value: Any) -> str:
    if value is None:
        return f"{name.upper()}="
    if isinstance(value, bool):
        return f"{name.upper()}={str(value).lower()}"
    if isinstance(value, tuple):
        return f"{name.upper()}={','.join(str(item) for item in value)}"
    return f"{name.upper()}={value}"


def _parse_env_file(path: Path) -> list[Binding]:
    try:
        with path.open(encoding="utf-8") as stream:
            return list(parse_stream(stream))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if not os.access(path.parent, os.X_OK):
            return []  # nothing of this home can be read, which opening it says
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", remedy="Give this user read permission (mode 0600)."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text", remedy="Save it as UTF-8.") from error


def _unparsable(bindings: Iterable[Binding], path: Path) -> Iterator[str]:
    for binding in bindings:
        if binding.error:
            yield f"line {binding.original.line} of {path} is not NAME=value"


def _near_misses(bindings: Iterable[Binding], path: Path) -> Iterator[str]:
    """Names in ``.env`` that are no setting but almost one: a typing error would be ignored silently."""
    known = [name.upper() for name in Settings.model_fields]
    for binding in bindings:
        name = (binding.key or "").upper()
        if name and name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            if close:
                yield f"{binding.key} in {path} is no setting; did you mean {close[0]}?"


def _mistakes(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        name = str(item["loc"][0])
        field = Settings.model_fields[name]
        given = "the value given (not shown, it is a secret)" if name in _SECRETS else _shown(item["input"])
        cause = item["ctx"]["error"] if item["type"] == "value_error" else None
        why = f" ({cause})" if cause else ""
        if name == "telegram_chat_id" and item["input"] is None:
            yield f"TELEGRAM_CHAT_ID is missing{why}; allowed: {_allowed(field)}"
        else:
            yield f"{name.upper()}={given}{why}; allowed: {_allowed(field)}"


def _shown(value: object) -> str:
    """A value as it was given, without the credentials an address may carry."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return repr(re.sub(r"://[^/@]*@", "://***@", text))


def _allowed(field: FieldInfo) -> str:
    """What a setting may be, in words."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "allowed" in extra:
        return str(extra["allowed"])
    kind = next((arg for arg in get_args(field.annotation) if arg in {int, float}), field.annotation)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(kind))}"
    if kind is bool:
        return "true or false"
    return ("a whole number" if kind is int else "a number") + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
    parts: list[str] = []
    for attribute, phrase in words.items():
        for constraint in field.metadata:
            limit = getattr(constraint, attribute, None)
            if limit is not None and limit != 2**63:
                parts.append(phrase.format(f"{limit:g}" if abs(limit) < 1e6 else f"{limit:,.0f}"))
    return (" " + " ".join(parts).replace(" below", " and below")) if parts else ""
