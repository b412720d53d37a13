"""The base of all events, and the way from JSON back to one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from tradingai.engine.core.jsonio import plain

_TYPES: dict[str, type[Event]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. ``type`` in JSON is the class name."""

    level: ClassVar[str] = "info"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _TYPES[cls.__name__] = cls

    def as_json(self) -> dict[str, Any]:
        """``{"type": …, fields…}`` with JSON leaves."""
        document: dict[str, Any] = plain({"type": type(self).__name__, **asdict(self)})
        return document


def event_from_json(document: dict[str, Any]) -> Event:
    """Rebuild an event. Unknown fields are ignored; an unknown type raises KeyError."""
    cls = _TYPES[document["type"]]
    names = {item.name for item in fields(cls)}
    return cls(**{key: value for key, value in document.items() if key in names})


def event_level(type_name: str) -> str:
    """``info``, ``warning`` or ``error`` for an event type; ``info`` for one this version does not know."""
    cls = _TYPES.get(type_name)
    return cls.level if cls else "info"
