"""JSON as the product writes it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from tradingai.engine.core.jsonio import canonical, digest, dumps, iso_z, parse_iso, plain


class Side(Enum):
    LONG = "long"


def test_times_are_iso_with_z_and_come_back():
    moment = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
    assert iso_z(moment) == "2025-11-10T01:07:00Z"
    assert iso_z(moment.replace(microsecond=50)) == "2025-11-10T01:07:00.000050Z"
    assert parse_iso(iso_z(moment)) == moment
    prague = datetime(2025, 11, 10, 2, 7, tzinfo=timezone(timedelta(hours=1)))
    assert iso_z(prague) == "2025-11-10T01:07:00Z"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        parse_iso("2025-11-10T01:07:00")


def test_every_leaf_becomes_a_json_type():
    document = {
        "nan": float("nan"),
        "inf": float("inf"),
        "side": Side.LONG,
        "path": Path("/a/b"),
        "at": datetime(2025, 1, 1, tzinfo=UTC),
        "tuple": (1, 2.5, None, True),
        "set": {3},
        "scalar": np.float32(0.5),
        "nan32": np.float32("nan"),
        "count": np.int64(7),
        "flag": np.bool_(True),
        "array": np.array([[1.0, np.nan]]),
        5: "key",
    }
    assert plain(document) == {
        "nan": None,
        "inf": None,
        "side": "long",
        "path": "/a/b",
        "at": "2025-01-01T00:00:00Z",
        "tuple": [1, 2.5, None, True],
        "set": [3],
        "scalar": 0.5,
        "nan32": None,
        "count": 7,
        "flag": True,
        "array": [[1.0, None]],
        "5": "key",
    }


def test_what_has_no_json_form_is_refused():
    with pytest.raises(TypeError, match="object has no JSON form"):
        dumps({"thing": object()})


def test_canonical_json_is_sorted_dense_and_utf8():
    assert canonical({"b": 1, "a": ["ü", None]}) == '{"a":["ü",null],"b":1}'.encode()


def test_the_digest_is_over_canonical_bytes_and_ignores_key_order():
    expected = hashlib.sha256(b'{"a":2,"b":1}').hexdigest()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1}) == expected
