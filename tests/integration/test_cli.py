"""The command line as a process: documents on stdout, exit statuses, messages with a remedy."""

import json
import os
import subprocess
import sys

import pytest
from tradingai.cli.main import main

from tests.fakes.command_line import ROOT, Called, command, environment, tradingai

WEEK = ("--start", "2025-11-03", "--end", "2025-11-10T01:07Z")


@pytest.fixture(scope="module")
def week_home(tmp_path_factory):
    """A home with a week of candles of two coins."""
    home = tmp_path_factory.mktemp("week") / "home"
    done = tradingai(home, "data", "generate", "--symbols", "BTC,ETH", *WEEK)
    assert done.status == 0, done.err
    return home


@pytest.fixture(scope="module")
def bare_home(tmp_path_factory):
    """A home with candles of ETH only, and nothing made of them."""
    home = tmp_path_factory.mktemp("bare") / "home"
    assert tradingai(home, "data", "generate", "--symbols", "ETH", *WEEK).status == 0
    return home


@pytest.fixture
def called(capsys):
    """The command line within this process: for what ends before, or without, a worker that computes."""

    def call(home, *arguments):
        status = main(["--home", str(home), *arguments])
        return Called(status, *capsys.readouterr())

    return call


def test_generate_again_finds_its_work_done(week_home):
    done = tradingai(week_home, "data", "generate", "--symbols", "BTC,ETH", *WEEK, "--json")
    assert done.status == 0
    assert [item["symbol"] for item in done.document] == ["BTC-USD", "ETH-USD"]
    assert {item["rows"] for item in done.document} == {7 * 1440 + 68}
    assert done.err.count("nothing to do") == 2


def test_data_list_has_the_stable_keys(week_home):
    done = tradingai(week_home, "data", "list", "--json")
    assert done.status == 0
    for item in done.document:
        assert item["start"] == "2025-11-03T00:00:00Z"
        assert item["end"] == "2025-11-10T01:07:00Z"
        assert {"symbol", "provider", "market", "rows", "start", "end", "sha256", "quality"} <= set(item)
    assert done.err == ""


def test_data_quality_of_one_pair(week_home):
    done = tradingai(week_home, "data", "quality", "btc", "--json")
    assert done.status == 0
    assert done.document["symbol"] == "BTC-USD"
    assert done.document["rows_in"] == 7 * 1440 + 68


def test_progress_goes_to_stderr_only(tmp_path):
    done = tradingai(tmp_path / "home", "data", "generate", "--symbols", "BTC", *WEEK, "--json")
    json.loads(done.out)
    assert "candles BTC-USD: started" in done.err


def test_features_build_list_and_check(week_home):
    built = tradingai(week_home, "features", "build", "--json")
    assert built.status == 0, built.err
    assert [item["symbol"] for item in built.document] == ["BTC-USD", "ETH-USD"]
    declared = tradingai(week_home, "features", "list", "--json")
    assert len(declared.document) >= 40
    checked = tradingai(week_home, "features", "check", "--symbols", "BTC", "--json")
    assert checked.status == 0, checked.err
    assert checked.document[0]["passed"] is True


def test_features_check_fails_when_a_stored_value_is_wrong(week_home, tmp_path):
    import shutil

    import numpy as np

    home = tmp_path / "home"
    shutil.copytree(week_home, home)
    tradingai(home, "features", "build", "--symbols", "BTC")
    manifest_file = home / "data" / "features" / "BTC-USD" / "manifest.json"
    matrix = manifest_file.parent / json.loads(manifest_file.read_text())["file"]
    values = np.load(matrix, mmap_mode="r+")
    values[-5, 3] += 1.0
    values.flush()
    done = tradingai(home, "features", "check", "--symbols", "BTC", "--json")
    assert done.status == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "generate", "--symbols", "B!"], ["unknown symbol", "BTC-USD"]),
        (["data", "generate", "--market", "sideways"], ["sideways", "cycles, null, weak, drift"]),
        (["data", "generate", "--start", "yesterday"], ["--start", "yesterday", "2025-07-01"]),
        (["data", "generate", "--end", "2025-13-01"], ["--end", "2025-13-01"]),
        (["data", "import", "nowhere.csv", "--symbol", "BTC"], ["nowhere.csv", "exists"]),
        (["pipeline", "--workload", "huge"], ["huge", "quick, full"]),
        (["pipeline", "--market", "sideways"], ["sideways", "cycles"]),
        (["pipeline", "--models", "oracle"], ["oracle", "lstm"]),
        (["train", "lstm", "--coin", "BTC", "--epochs", "0"], ["--epochs", "0"]),
        (["train", "transformer", "--epochs", "0"], ["--epochs", "0"]),
        (["train", "transformer", "--coins", "B!"], ["unknown symbol", "BTC-USD"]),
        (["evaluate", "gpt"], ["gpt", "lstm_BTC-USD, transformer, ppo, ensemble"]),
        (["evaluate", "missing.pt"], ["missing.pt"]),
        (["evaluate", "lstm_BTC-USD", "--min-accuracy", "nan"], ["--min-accuracy is nan", "0.68 means 68 %"]),
        (["evaluate", "lstm_BTC-USD", "--max-calibration-error", "5"], ["--max-calibration-error is 5.0"]),
        (["models", "history", "--at", "noon"], ["--at", "noon"]),
        (["sing"], ["sing", "--help"]),
        (["data", "sing"], ["sing", "data --help"]),
        (["status", "--loud"], ["--loud", "status --help"]),
        (["data", "import"], ["tradingai data import --help"]),
        (["--log-level", "shout", "status"], ["shout", "debug"]),
    ],
)
def test_wrong_usage_exits_2_with_message_and_remedy(tmp_path, called, arguments, words):
    home = tmp_path / "home"
    text = called(home, *arguments)
    document = called(home, *arguments, "--json")
    assert text.status == document.status == 2, text.err
    assert text.out == ""
    assert document.error["code"] == "usage"
    assert document.error["remedy"]
    for word in words:
        assert word in text.err, word
        assert word in document.error["message"] + document.error["remedy"], word
    assert "Traceback" not in text.err + document.err
    assert not home.exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--start", "1970-01-01", ["2018-01-01"]), ("--symbols", "NOPE", ["NOPE-USD", "BTC-USD", "ETH-USD"])],
)
def test_what_a_worker_refuses_as_wrong_usage_exits_2_as_well(tmp_path, called, option, value, words):
    done = called(tmp_path / "home", "data", "generate", option, value, "--json")
    assert done.status == 2
    for word in words:
        assert word in done.error["message"] + done.error["remedy"]


@pytest.mark.parametrize(
    ("arguments", "command_named"),
    [
        (["data", "quality", "BTC"], "data generate"),
        (["features", "build", "--symbols", "BTC"], "data generate"),
        (["train", "lstm", "--coin", "BTC"], "data generate"),
        (["train", "lstm", "--coin", "ETH"], "features build"),
        (["train", "transformer", "--coins", "ETH"], "features build"),
        (["train", "ppo", "--coins", "BTC"], "data generate"),
        (["evaluate", "lstm_BTC-USD"], "train lstm"),
        (["evaluate", "transformer"], "train transformer"),
        (["evaluate", "ppo"], "train ppo"),
        (["evaluate", "ensemble"], "train transformer"),
        (["models", "show", "lstm_BTC-USD"], "evaluate lstm_BTC-USD"),
        (["models", "promote", "lstm_BTC-USD"], "evaluate lstm_BTC-USD"),
        (["models", "rollback"], "tradingai pipeline"),
    ],
)
def test_what_is_missing_exits_4_and_names_the_command_that_makes_it(
    bare_home, called, arguments, command_named
):
    done = called(bare_home, *arguments, "--json")
    assert done.status == 4, done.out + done.err
    assert done.error["code"] == "missing"
    assert command_named in done.error["remedy"]


@pytest.mark.parametrize("arguments", [["status"], ["doctor"], ["data", "list"], ["models", "list"], []])
def test_reading_commands_make_no_home(tmp_path, called, arguments):
    home = tmp_path / "home"
    called(home, *arguments)
    assert not home.exists()


def test_without_a_command_and_a_terminal_it_prints_status(week_home):
    done = tradingai(week_home)
    assert done.status == 0
    assert "candles" in done.out
    assert "Next:" in done.out


def test_status_documents_a_new_home_and_the_next_step(tmp_path):
    done = tradingai(tmp_path / "home", "status", "--json")
    assert done.status == 0
    assert {"phases", "engine", "models", "kill_switch", "observation"} <= set(done.document)
    assert done.document["phases"][0] == {
        "id": "candles",
        "state": "next",
        "detail": "nothing yet",
        "command": "tradingai data generate --symbols BTC-USD,ETH-USD,BNB-USD",
    }
    assert "`tradingai pipeline`" in tradingai(tmp_path / "home", "status").out


def test_read_only_refuses_what_writes(week_home):
    done = tradingai(week_home, "--read-only", "data", "generate", "--symbols", "BNB", *WEEK, "--json")
    assert done.status == 2
    assert "--read-only" in done.error["message"]
    assert tradingai(week_home, "--read-only", "status").status == 0


def test_home_comes_from_the_environment(week_home):
    done = tradingai(None, "data", "list", "--json", TRADINGAI_HOME=str(week_home))
    assert [item["symbol"] for item in done.document] == ["BTC-USD", "ETH-USD"]


def test_the_current_directory_is_the_default_home(week_home):
    done = tradingai(None, "data", "list", "--json", cwd=week_home)
    assert [item["symbol"] for item in done.document] == ["BTC-USD", "ETH-USD"]


def test_wrong_settings_are_listed_all_at_once(tmp_path):
    wrong = {"CONFIDENCE_THRESHOLD": "2", "ENSEMBLE_WEIGHTS": "1,1,1", "MAX_SIGNALS_PER_HOUR": "-1"}
    done = tradingai(tmp_path / "home", "pipeline", "--json", **wrong)
    assert done.status == 2
    assert done.error["code"] == "settings"
    for name in wrong:
        assert name in done.error["message"]
    assert not (tmp_path / "home").exists()


def test_a_database_of_another_kind_is_not_supported_yet(tmp_path):
    done = tradingai(tmp_path / "home", "pipeline", "--json", DB_URL="postgresql://localhost/trading")
    assert done.status == 2
    assert "not supported yet" in done.error["message"] + done.error["remedy"]
    assert not (tmp_path / "home").exists()


def test_an_unknown_provider_names_the_known_ones(tmp_path):
    done = tradingai(tmp_path / "home", "pipeline", "--json", DATA_PROVIDER="oanda")
    assert done.status == 2
    for name in ("oanda", "synthetic", "ccxt", "yfinance", "file"):
        assert name in done.error["message"]


@pytest.mark.parametrize("arguments", [["pipeline"], ["status"], ["data", "list"]])
def test_a_newer_home_is_refused_and_left_alone(tmp_path, called, arguments):
    home = tmp_path / "home"
    home.mkdir()
    (home / "home.json").write_text('{"schema": 99, "version": "9.0.0"}')
    done = called(home, *arguments, "--json")
    assert done.status == 2
    assert "99" in done.error["message"]
    assert "9.0.0" in done.error["message"]
    assert [item.name for item in home.iterdir()] == ["home.json"]


AS_NOBODY = """
import os, pwd, sys
import tradingai.cli.data, tradingai.cli.main, tradingai.cli.work
import tradingai.engine.core.commands, tradingai.engine.core.settings, tradingai.engine.pipeline.plan
nobody = pwd.getpwnam("nobody")
os.setgroups([]), os.setgid(nobody.pw_gid), os.setuid(nobody.pw_uid)
sys.exit(tradingai.cli.main.main(sys.argv[1:]))
"""
"""Everything is imported as root first: another user may not be able to read the interpreter's files."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_home_of_another_user_is_refused_and_left_alone(tmp_path):
    home = tmp_path / "home"
    tradingai(home, "data", "generate", "--symbols", "BTC", *WEEK)
    before = sorted(str(item) for item in home.rglob("*"))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o005)
    for item in (home, *home.rglob("*")):
        item.chmod(item.stat().st_mode | (0o055 if item.is_dir() else 0o044))
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *command(home, "data", "generate", *WEEK, "--json")[3:]],
        cwd="/", env=environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "home"
    assert "not writable" in error["message"]
    assert "--home" in error["remedy"]
    assert sorted(str(item) for item in home.rglob("*")) == before


def test_a_csv_without_a_needed_column_names_it(tmp_path):
    file = tmp_path / "candles.csv"
    file.write_text("time,open,high,low,close\n2025-01-01T00:00Z,1,2,0.5,1.5\n")
    done = tradingai(tmp_path / "home", "data", "import", str(file), "--symbol", "BTC", "--json")
    assert done.status == 1
    assert done.error["code"] == "data"
    assert "volume" in done.error["message"]
    assert not (tmp_path / "home" / "data" / "candles" / "BTC-USD" / "manifest.json").exists()


def test_a_reader_that_goes_away_is_no_error(week_home):
    pipe = subprocess.Popen(
        command(week_home, "data", "list", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(),
    )  # fmt: skip
    pipe.stdout.close()
    assert b"Traceback" not in pipe.communicate(timeout=60)[1]


def test_a_fault_of_our_own_becomes_one_line_and_a_file(tmp_path):
    program = (
        "import sys, tradingai.cli.status as status\n"
        "def broken(*arguments, **options): raise RuntimeError('boom')\n"
        "status.show_status = broken\n"
        "from tradingai.cli.main import main\n"
        "sys.exit(main(['--home', sys.argv[1], 'status', '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "home")], capture_output=True, text=True, check=False,
        env=environment(TMPDIR=str(tmp_path)), cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ""
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "unexpected RuntimeError: boom"
    (log,) = tmp_path.glob("tradingai-error-*.log")
    assert str(log) in error["remedy"]
    assert "Traceback" in log.read_text()


def test_version_is_one_line():
    done = tradingai(None, "--version")
    assert done.status == 0
    assert done.out.startswith("tradingai 0.")
