"""The ledger's document: every change after writing is found and named."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.core.errors import RegistryError
from tradingai.engine.core.ledger import GENESIS, Ledger, read_ledger

AT = datetime(2025, 11, 10, 5, 52, tzinfo=UTC)


def ledger_of(entries=5):
    ledger = Ledger()
    for number in range(entries):
        ledger = ledger.append(
            at=AT, kind="promoted", who="operator", why=f"because {number}", model="lstm_BTC-USD",
            version=f"v1.{number}.0", artifact_sha256="a" * 64, details={"previous": None, "note": "naïve\n"},
        )  # fmt: skip
    return ledger


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(ledger_of().text())
    return path


def test_round_trip(path):
    assert read_ledger(path) == ledger_of()
    assert read_ledger(path.with_name("none")) == Ledger()


def test_each_entry_holds_the_hash_of_the_one_before(path):
    document = json.loads(path.read_text())
    hashes = [entry["hash"] for entry in document["entries"]]
    assert [entry["prev"] for entry in document["entries"]] == [GENESIS, *hashes[:-1]]
    assert (document["count"], document["head"]) == (5, hashes[-1])


def test_one_entry_a_line(path):
    assert len(path.read_text().splitlines()) == 7


def test_a_changed_line_is_named(path):
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("because 2", "because 7")
    path.write_text("\n".join(lines))
    with pytest.raises(RegistryError, match=r"entry 3 \(promoted lstm_BTC-USD v1.2.0\) was changed") as error:
        read_ledger(path)
    assert "restore" in error.value.remedy


def test_a_removed_line_is_named(path):
    lines = path.read_text().splitlines()
    del lines[2]
    path.write_text("\n".join(lines))
    with pytest.raises(RegistryError, match="entry 2 "):
        read_ledger(path)


def test_a_swapped_pair_is_named(path):
    lines = path.read_text().splitlines()
    lines[2], lines[3] = lines[3], lines[2]
    path.write_text("\n".join(lines))
    with pytest.raises(RegistryError, match="entry 2 "):
        read_ledger(path)


def test_entries_cut_off_at_the_end_are_noticed(path):
    document = json.loads(path.read_text())
    document["entries"] = document["entries"][:3]
    path.write_text(json.dumps(document))
    with pytest.raises(RegistryError, match="cut off after entry 3 of 5"):
        read_ledger(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, share):
    text = path.read_text()
    path.write_text(text[: int(len(text) * share)])
    with pytest.raises(RegistryError, match=r"damaged at (entry|its first)"):
        read_ledger(path)


def test_an_empty_file_is_damage_not_an_empty_ledger(path):
    path.write_text("")
    with pytest.raises(RegistryError):
        read_ledger(path)


def test_a_newer_schema_says_so(path):
    path.write_text(path.read_text().replace('{"schema": 1', '{"schema": 2'))
    with pytest.raises(RegistryError, match="schema 2"):
        read_ledger(path)


@given(st.data())
def test_no_single_changed_character_goes_unnoticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("ledger") / "registry.json"
    original = ledger_of(3)
    text = original.text()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    path.write_text(text[:at] + other + text[at + 1 :])
    try:
        found = read_ledger(path)
    except RegistryError:
        return
    assert found == original


def test_reading_the_ledger_and_a_report_loads_nothing_heavy():
    code = (
        "import sys, tradingai.engine.core.ledger, tradingai.engine.core.report\n"
        "print([name for name in ('numpy', 'torch', 'polars', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_registry_loads_nothing_heavy_either():
    code = (
        "import sys, tradingai.engine.registry.registry, tradingai.engine.registry.verify\n"
        "print([name for name in ('numpy', 'torch', 'polars', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
