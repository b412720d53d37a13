"""Bad input through the command line: one clear message, the right exit status, and nothing lost."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.ledger import Candidate
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.models.artifact import best_path, load_artifact, save_artifact
from tradingai.engine.registry.registry import Registry

from tests.fakes.command_line import tradingai
from tests.fakes.evaluations import numbered
from tests.fakes.lstm_world import with_part

MODEL = "lstm_BTC-USD"
FIRST = datetime(2025, 6, 1, tzinfo=UTC)
HEADER = "ts,open,high,low,close,volume"
FAILED, REFUSED = 1, 3


def rows(count=300, stamp="%Y-%m-%dT%H:%MZ"):
    """Good lines of consecutive minutes."""
    return [
        f"{FIRST + timedelta(minutes=minute):{stamp}},100,102,99,{100 + minute % 3},{minute + 0.5}"
        for minute in range(count)
    ]


def contents(home):
    """Every file of data, models and reports with the hash of its bytes."""
    found = {}
    for folder in ("data", "models", "reports"):
        for path in sorted((home / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(home))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check_error(done, code, *words, status=FAILED):
    """One error document with its remedy, the words in its message, and no traceback anywhere."""
    assert done.status == status, done.err + done.out
    assert set(done.document) == {"error"}
    error = done.error
    assert error["code"] == code
    for word in words:
        assert word in error["message"]
    assert error["remedy"]
    assert "Traceback" not in done.err + done.out


def check_spoken(done, *words):
    """The same for a person: the error once, with its remedy in the next line."""
    assert all(done.err.count(word) == 1 for word in words), done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    after = done.err.splitlines()[done.err.splitlines().index(errors[0]) + 1]
    assert after.startswith("       ")
    assert after.strip()


@pytest.fixture
def home(small_home, tmp_path):
    """A copy of the small home to spoil."""
    shutil.copytree(small_home, tmp_path / "home", symlinks=True)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A home with good candles of DOGE-USD from a file."""
    folder = tmp_path_factory.mktemp("imported")
    file = folder / "good.csv"
    file.write_text("\n".join([HEADER, *rows()]) + "\n")
    done = tradingai(folder / "home", "data", "import", str(file), "--symbol", "DOGE")
    assert done.status == 0, done.err
    return folder / "home"


def with_text_in_a_price(lines):
    lines[41] = lines[41].replace(",102,", ",about a hundred,")
    return lines


def out_of_order(lines):
    return [*lines[:100], *lines[200:], *lines[100:200]]


def without_zone(lines):
    return rows(stamp="%Y-%m-%dT%H:%M")


def with_a_negative_price(lines):
    lines[41] = lines[41].replace(",99,", ",-99,")
    return lines


def forty_percent_empty(lines):
    """Two of five minutes flat at the close before, without volume."""
    return [
        f"{line.partition(',')[0]},100,100,100,100,0" if number % 5 in {1, 2} else line
        for number, line in enumerate(lines)
    ]


def one_row(lines):
    return lines[:1]


def duplicates_that_disagree(lines):
    return [*lines[:42], lines[41].replace(",102,", ",103,"), *lines[42:]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (with_text_in_a_price, ["line 43", "high", "'about a hundred'", "not a number"]),
        (out_of_order, ["out of time order", "line 202", "2025-06-01 01:40"]),
        (without_zone, ["line 2", "'2025-06-01T00:00'", "no zone"]),
        (with_a_negative_price, ["line 43", "low is -99", "above zero"]),
        (forty_percent_empty, ["40.0 %", "300 minutes", "20 %"]),
        (one_row, ["1 row,", "at least 60"]),
        (duplicates_that_disagree, ["line 43 and ", "line 44", "00:41", "disagree", "102.0 and 103.0"]),
    ],
)
def test_a_bad_file_is_refused_and_the_candles_stay(imported, tmp_path, spoil, words):
    file = tmp_path / "bad.csv"
    file.write_text("\n".join([HEADER, *spoil(rows())]) + "\n")
    before = contents(imported)
    arguments = ("data", "import", str(file), "--symbol", "DOGE")
    check_error(tradingai(imported, *arguments, "--json"), "data", "bad.csv", *words)
    assert contents(imported) == before
    if spoil is with_text_in_a_price:
        check_spoken(tradingai(imported, *arguments), *words)
        assert contents(imported) == before


def test_an_empty_file_is_refused_and_the_candles_stay(imported, tmp_path):
    file = tmp_path / "bad.csv"
    file.touch()
    before = contents(imported)
    done = tradingai(imported, "data", "import", str(file), "--symbol", "DOGE", "--json")
    check_error(done, "data", "bad.csv is empty")
    assert contents(imported) == before


def test_a_truncated_parquet_file_is_named_and_generating_again_repairs_it(home):
    whole = contents(home)
    (file,) = (home / "data" / "candles" / "BTC-USD").glob("2025.*.parquet")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = contents(home)
    for arguments in (
        ("features", "build", "--force"),
        ("train", "lstm", "--coin", "BTC", "--fresh"),
        ("evaluate", MODEL),
        ("features", "check"),
    ):
        check_error(tradingai(home, *arguments, "--json"), "artifact", file.name)
        assert contents(home) == before
    assert tradingai(home, "data", "list", "--json").status == 0
    done = tradingai(home, "data", "generate", "--symbols", "BTC", "--start", "2025-10-29T01:08Z")
    assert done.status == 0, done.err
    values = [name for name in whole if not name.endswith("manifest.json")]
    assert {name: contents(home)[name] for name in values} == {name: whole[name] for name in values}


def test_a_tampered_checkpoint_is_refused(home):
    path = best_path(HomePaths(home), MODEL)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    before = contents(home)
    done = tradingai(home, "evaluate", MODEL, "--json")
    check_error(done, "artifact", path.name)
    assert "tradingai train lstm --coin BTC-USD" in done.error["remedy"]
    assert contents(home) == before


def test_a_tampered_version_is_found_by_verify(home):
    (path,) = home.glob("models/versions/*/*/model.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(content)
    before = contents(home)
    for quick in (("--quick",), ()):
        done = tradingai(home, "models", "verify", *quick, "--json")
        assert done.status == FAILED
        assert done.document["ok"] is False
        (found,) = done.document["versions"]
        assert (found["state"], found["recomputed"]) == ("damaged", False)
    assert contents(home) == before


def test_a_ledger_with_a_changed_line_is_refused_everywhere_and_left_alone(home):
    ledger = home / "models" / "registry.json"
    text = ledger.read_text()
    assert text.count('"passed":false') + text.count('"passed": false') > 0
    ledger.write_text(
        text.replace('"passed":false', '"passed":true').replace('"passed": false', '"passed": true')
    )
    before = contents(home)
    for arguments in (
        ("models", "list"), ("models", "promote", MODEL), ("models", "verify"), ("models", "history"),
        ("evaluate", MODEL, "--max-calibration-error", "0.04"),
    ):  # fmt: skip
        check_error(tradingai(home, *arguments, "--json"), "registry", "registry.json")
        assert contents(home) == before
    status = tradingai(home, "status", "--json")
    assert status.status == FAILED
    assert any("registry.json" in problem["message"] for problem in status.document["problems"])


def test_a_certificate_with_an_invented_number_is_found_by_recomputing_it(home):
    """Ledger, hashes and certificate agree with one another; only evaluating again tells."""
    paths = HomePaths(home)
    registry = Registry(paths, RealClock(), who="somebody")
    (honest,) = registry.certificate(MODEL).coins
    (folder,) = (paths.versions / MODEL).iterdir()
    candidate = Candidate(
        model=MODEL,
        tests={honest.symbol: honest.inputs["test_sha256"]},
        artifact_sha256=honest.inputs["artifact_sha256"],
        artifact=folder / "model.pt",
        sidecar=folder / "model.json",
        key="another evaluation",
    )
    registry.record(candidate, numbered(replace(honest, brier=0.1)))
    quick = tradingai(home, "models", "verify", "--quick", "--json")
    assert quick.status == 0, quick.out
    assert [item["recomputed"] for item in quick.document["versions"]] == [False]
    before = contents(home)
    done = tradingai(home, "models", "verify", "--json")
    assert done.status == FAILED
    (found,) = done.document["versions"]
    assert (found["state"], found["recomputed"]) == ("damaged", True)
    assert f"brier is {honest.brier!r} instead of 0.1" in found["detail"]
    assert "recompute lstm_BTC-USD v1.0.0" in done.err
    assert contents(home) == before


def test_an_honest_certificate_is_recomputed_to_the_same_numbers(small_home):
    before = contents(small_home)
    done = tradingai(small_home, "models", "verify")
    assert done.status == 0, done.out
    assert "1 of 1 versions evaluated again, every number compared." in done.out
    assert contents(small_home) == before


def test_a_checkpoint_of_another_feature_set_is_refused_and_no_attempt(home, tmp_path):
    artifact = load_artifact(best_path(HomePaths(home), MODEL))
    (part,) = artifact.coins
    names = ("moon_phase", *part.feature_names[1:])
    scaler = replace(part.scaler, names=names)
    other = with_part(artifact, feature_names=names, scaler=scaler, definitions_sha256="0" * 64)
    path = tmp_path / "lstm_BTC-USD_other.pt"
    save_artifact(path, other)
    before = contents(home)
    check_error(tradingai(home, "evaluate", str(path), "--json"), "artifact", "moon_phase")
    assert contents(home) == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, where this user may mount one."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder, left):
    """Leave ``left`` bytes on this disk."""
    room = os.statvfs(folder)
    (folder / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - left)))


@pytest.mark.parametrize("left", [0, 900_000])
def test_a_full_disk_is_a_clear_error_and_freeing_space_is_enough(small_disk, left):
    """With nothing left not even the job can be written down; with a little its files cannot."""
    home = small_disk / "home"
    few = ("data", "generate", "--symbols", "BTC", "--start", "2025-11-09T01:08Z")
    many = ("data", "generate", "--symbols", "BTC", "--start", "2025-09-01T01:08Z")
    assert tradingai(home, *few).status == 0
    before = contents(home)
    fill(small_disk, left)
    done = tradingai(home, *many, "--json")
    assert done.status == FAILED, done.out + done.err
    assert "Traceback" not in done.err + done.out
    assert "space" in done.error["message"].lower()
    assert "Free space on that disk and run the same command again" in done.error["remedy"]
    assert contents(home) == before
    assert tradingai(home, "data", "list", "--json").document[0]["rows"] == 1440
    (small_disk / "ballast").unlink()
    again = tradingai(home, *many, "--json")
    assert again.status == 0, again.err
    assert again.document[0]["rows"] > 1440


def test_a_checkpoint_that_does_not_fit_on_the_disk_says_so_and_the_old_one_stays(small_disk, small_home):
    """torch itself would tell of an unexpected position."""
    artifact = load_artifact(best_path(HomePaths(small_home), MODEL))
    path = small_disk / "lstm_BTC-USD_best.pt"
    save_artifact(path, artifact)
    before = path.read_bytes()
    fill(small_disk, 20_000)
    with pytest.raises(TradingAIError) as caught:
        save_artifact(path, replace(artifact, notes={"more": "x" * 100_000}))
    assert "No space left on device" in caught.value.message
    assert "Free space on that disk" in caught.value.remedy
    assert path.read_bytes() == before
    assert sorted(item.name for item in small_disk.iterdir()) == [
        "ballast", "lstm_BTC-USD_best.json", "lstm_BTC-USD_best.pt",
    ]  # fmt: skip
