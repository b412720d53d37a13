"""Which code is this? The hash that a change of it is recognised by."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import tradingai


@cache
def code_sha256() -> str:
    """Hash of every source file of the engine, as it was when first asked for in this process."""
    root = Path(tradingai.__file__).parent / "engine"
    hasher = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        content = file.read_bytes()
        hasher.update(f"{file.relative_to(root)} {len(content)}\n".encode())
        hasher.update(content)
    return hasher.hexdigest()
