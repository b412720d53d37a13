"""One declaration per feature; it serves batch, live, checks and documentation."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.jsonio import digest
from tradingai.engine.features import window
from tradingai.engine.features.window import Window

MAX_LOOKBACK: Final = 2880
"""No feature may look further back than this many one-minute bars."""
_PACKAGE: Final = "tradingai.engine.features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A named, causal function of a window.

    ``compute(window, **parameters)`` returns float64 [len(window)]; row i may use rows i - ``lookback`` … i.
    ``source`` says where the formula comes from, ``meaning`` what the number is, with its unit.
    Raises ValueError for a look-back outside 0 … 2,880.
    """

    name: str
    group: str
    lookback: int
    source: str
    meaning: str
    compute: Callable[..., Floats]
    parameters: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.lookback <= MAX_LOOKBACK:
            raise ValueError(f"{self.name}: look-back {self.lookback} is outside 0 … {MAX_LOOKBACK}")

    def values(self, bars: Window) -> Floats:
        """float64 [len(bars)]; meaningful from row ``lookback`` on."""
        return self.compute(bars, **self.parameters)

    @property
    def sha256(self) -> str:
        """Hash of name, group, look-back, parameters and code; the description is not part of it."""
        return digest(
            {
                "name": self.name, "group": self.group, "lookback": self.lookback,
                "parameters": dict(self.parameters), "function": self.compute.__name__,
                "code": code_digest(self.compute.__module__),
            }
        )  # fmt: skip


@dataclass(frozen=True)
class FeatureSet:
    """The features of one coin beside its peers, in column order. Raises ValueError for a repeated name."""

    symbol: str
    peers: tuple[str, ...]
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        repeated = {name for name in self.names if self.names.count(name) > 1}
        if repeated or not self.features:
            raise ValueError(f"a feature set needs features of different names; repeated: {sorted(repeated)}")

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def lookback(self) -> int:
        """The longest look-back: the first row with values is this one."""
        return max(feature.lookback for feature in self.features)

    @cached_property
    def sha256(self) -> str:
        """Hash of all definitions in order; changes with any formula's code, parameter or position."""
        return digest([feature.sha256 for feature in self.features])


@cache
def code_digest(module_name: str) -> str:
    """SHA-256 of the code a formula in this module runs: the module and what it imports from this package.

    Comments, layout and docstrings do not count. Raises OSError for a module without source.
    """
    found: dict[str, str] = {}
    pending = [module_name, window.__name__]
    while pending:
        name = pending.pop()
        if name not in found and name != __name__:
            found[name], imports = _module_code(name)
            pending.extend(imports)
    own = found.pop(module_name)
    return digest({"module": own, "imports": found})


@cache
def _module_code(name: str) -> tuple[str, tuple[str, ...]]:
    """Hash of a module's code, and the modules of this package that it imports from."""
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return digest(canonical_code(tree)), tuple(_imports(tree))


def canonical_code(tree: ast.AST) -> str:
    """A syntax tree as text: node names and non-empty fields, which Python's minor versions share."""
    return "".join(_written(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    """The modules of this package that a module imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            candidates = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in candidates if name in sys.modules and name != _PACKAGE)


def _written(node: Any) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if name not in {"ctx", "kind", "type_comment"} and value is not None and value != []:
                yield f" {name}="
                yield from _written(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            if not _is_text(item):
                yield from _written(item)
    else:
        yield repr(node)


def _is_text(node: Any) -> bool:
    """A docstring: a string that stands alone as a statement."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
