"""What is written about the project is true of it."""

import re
import subprocess
import tomllib

import pytest
import typer
from tradingai.cli.commands import COMMANDS, RootGroup
from tradingai.cli.lazy import load
from tradingai.cli.main import app
from typer.core import TyperGroup

from tests.fakes.command_line import ROOT

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z0-9_-]*):", MAKEFILE, re.MULTILINE)


def commands():
    """Every command with its full name, groups included."""
    for entry in COMMANDS:
        command = load(entry)
        yield entry.name, command
        if isinstance(command, TyperGroup):
            for name, member in command.commands.items():
                yield f"{entry.name} {name}", member


EVERY_COMMAND = dict(commands())


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_every_command_says_what_it_does(name):
    help_text = EVERY_COMMAND[name].help
    assert help_text
    assert help_text.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_every_option_has_help(name):
    for parameter in EVERY_COMMAND[name].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    "name", [name for name, it in EVERY_COMMAND.items() if not isinstance(it, TyperGroup)]
)
def test_every_command_takes_json(name):
    assert "--json" in {option for parameter in EVERY_COMMAND[name].params for option in parameter.opts}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_help_table_repeats_the_commands_own_first_line(entry):
    assert EVERY_COMMAND[entry.name].help.splitlines()[0] == entry.help


def test_the_root_group_is_the_lazy_one():
    assert isinstance(typer.main.get_command(app), RootGroup)


def test_every_command_in_the_readme_exists():
    mentioned = re.findall(r"tradingai ((?:[a-z]+ ?){1,2})", README)
    for words in (text.split() for text in mentioned):
        if words[0] == "&&":
            continue
        assert words[0] in EVERY_COMMAND, words
        if isinstance(EVERY_COMMAND[words[0]], TyperGroup) and len(words) > 1:
            assert " ".join(words[:2]) in EVERY_COMMAND, words


def test_every_make_target_in_the_readme_exists():
    mentioned = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", README, re.MULTILINE)
    assert mentioned
    for target in (one or other for one, other in mentioned):
        assert target in TARGETS, target


def test_every_make_target_has_help_and_is_phony():
    helped = re.findall(r"^([a-z][a-z0-9_-]*):.*## ", MAKEFILE, re.MULTILINE)
    assert helped == TARGETS
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == set(TARGETS)


def test_every_dependency_has_its_reason_and_its_pin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = [re.split(r"[\[<>=]", item)[0] for item in wanted]
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    pins = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for name in names:
        assert re.search(rf"\b{re.escape(name)}\b", reasons), name
        assert name.lower() in pins, name


def test_no_pin_names_a_build_of_one_machine():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line), line


def test_every_link_in_the_documents_leads_somewhere():
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_make_run_states_the_size_of_the_download_before_it_installs(tmp_path):
    planned = subprocess.run(
        ["make", "--dry-run", "run", f"VENV={tmp_path / 'venv'}", "TORCH_INDEX=https://example.org/cpu"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert planned.index("170 MB") < planned.index("pip install")
    assert planned.index("pip install") < planned.index("pipeline --workload quick")
    assert "--extra-index-url https://example.org/cpu" in planned
    assert "-c constraints.txt" in planned


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
