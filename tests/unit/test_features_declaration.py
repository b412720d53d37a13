import ast
import subprocess
import sys
import textwrap

import pytest
from tradingai.engine.core.candles import Floats
from tradingai.engine.features import declaration
from tradingai.engine.features.declaration import MAX_LOOKBACK, Feature, FeatureSet, canonical_code
from tradingai.engine.features.registry import FEATURES, describe_features, feature_set
from tradingai.engine.features.window import Window


def close(window: Window) -> Floats:
    return window.close


def feature(**changes) -> Feature:
    declared = {
        "name": "close", "group": "test", "lookback": 3, "source": "here", "meaning": "price",
        "compute": close,
    }  # fmt: skip
    return Feature(**{**declared, **changes})


def test_there_are_at_least_forty_features_with_bounded_look_back():
    assert len(FEATURES) == 60
    assert max(item.lookback for item in FEATURES) == 2878 <= MAX_LOOKBACK
    assert len({item.name for item in FEATURES}) == len(FEATURES)


def test_every_feature_says_what_it_is():
    for item in feature_set("BTC-USD", ("ETH-USD",)).features:
        assert item.source
        assert item.meaning
        assert item.compute.__doc__


def test_groups_cover_the_product_definition():
    assert {item.group for item in FEATURES} == {
        "session", "momentum", "trend", "oscillator", "bands", "bar", "volatility", "regime", "cost",
        "volume", "timeframes",
    }  # fmt: skip


def test_peers_add_lead_lag_features_in_name_order():
    alone = feature_set("BTC-USD")
    both = feature_set("BTC-USD", ("ETH-USD", "BNB-USD", "BTC-USD"))
    assert alone.names == tuple(item.name for item in FEATURES)
    assert both.peers == ("BNB-USD", "ETH-USD")
    assert both.names[60:] == tuple(
        f"lead_{peer}_{what}"
        for peer in ("BNB-USD", "ETH-USD")
        for what in ("momentum_1", "momentum_5", "momentum_15", "momentum_60", "gap_15")
    )
    assert both.sha256 == feature_set("BTC-USD", ("BNB-USD", "ETH-USD")).sha256 != alone.sha256


def test_descriptions_follow_the_columns():
    rows = describe_features("BTC-USD", ("ETH-USD",))
    assert [row.name for row in rows] == list(feature_set("BTC-USD", ("ETH-USD",)).names)
    rsi = next(row for row in rows if row.name == "rsi_14")
    assert (rsi.group, rsi.lookback, rsi.meaning) == (
        "oscillator", 512, "relative strength, 0 … 100, 50 without change",
    )  # fmt: skip


@pytest.mark.parametrize("lookback", [-1, 2881])
def test_a_look_back_outside_the_bounds_is_refused(lookback):
    with pytest.raises(ValueError, match="look-back"):
        feature(lookback=lookback)


def test_a_set_needs_features_with_different_names():
    with pytest.raises(ValueError, match="close"):
        FeatureSet("BTC-USD", (), (feature(), feature()))
    with pytest.raises(ValueError, match="needs features"):
        FeatureSet("BTC-USD", (), ())


def test_the_definition_hash_follows_what_is_computed_and_not_its_description():
    assert feature().sha256 == feature(source="elsewhere", meaning="another text").sha256
    for change in ({"name": "other"}, {"lookback": 4}, {"parameters": {"minutes": 5}}, {"group": "bar"}):
        assert feature(**change).sha256 != feature().sha256
    one, two = feature(name="one"), feature(name="two")
    assert FeatureSet("A", (), (one, two)).sha256 != FeatureSet("A", (), (two, one)).sha256


FORMULA = '''
"""A module."""
from tradingai.engine.features.window import Window

def value(window):
    """A formula."""
    return window.close * {factor}  # {comment}
'''


def digest_of(tmp_path, monkeypatch, name, **text) -> str:
    (tmp_path / f"{name}.py").write_text(FORMULA.format(**text))
    monkeypatch.syspath_prepend(tmp_path)
    __import__(name)
    return declaration.code_digest(name)


def test_a_changed_formula_changes_the_hash_and_a_comment_does_not(tmp_path, monkeypatch):
    first = digest_of(tmp_path, monkeypatch, "formula_first", factor=2, comment="twice")
    second = digest_of(tmp_path, monkeypatch, "formula_second", factor=2, comment="two times")
    third = digest_of(tmp_path, monkeypatch, "formula_third", factor=3, comment="twice")
    assert first == second != third


def test_the_hash_covers_the_modules_a_formula_builds_on():
    _, imports = declaration._module_code("tradingai.engine.features.formulas.timeframes")
    assert "tradingai.engine.features.formulas.trend" in imports
    _, imports = declaration._module_code("tradingai.engine.features.window")
    assert "tradingai.engine.features.primitives" in imports


def test_changed_primitives_change_every_feature(monkeypatch):
    before = feature().sha256
    original = declaration._module_code.__wrapped__

    def changed(name: str) -> tuple[str, tuple[str, ...]]:
        code, imports = original(name)
        return ("changed" if name.endswith("primitives") else code), imports

    declaration.code_digest.cache_clear()
    monkeypatch.setattr(declaration, "_module_code", changed)
    try:
        assert feature().sha256 != before
    finally:
        declaration.code_digest.cache_clear()


def test_canonical_code_leaves_out_text_and_layout():
    left = ast.parse('def f(x):\n    """Doc."""\n    return (x +\n            1)\n')
    right = ast.parse("def f( x ):\n    return x+1 # comment\n")
    assert canonical_code(left) == canonical_code(right)
    assert canonical_code(left) != canonical_code(ast.parse("def f(x):\n    return x + 2\n"))
    assert canonical_code(ast.parse("x = 1")) == (
        "(Module body=(Assign targets=(Name id='x') value=(Constant value=1)))"
    )


def test_the_hash_is_the_same_in_another_process():
    program = textwrap.dedent(
        """
        from tradingai.engine.features.registry import feature_set
        print(feature_set("BTC-USD", ("ETH-USD",)).sha256)
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "123"},
    )
    assert run.stdout.strip() == feature_set("BTC-USD", ("ETH-USD",)).sha256
