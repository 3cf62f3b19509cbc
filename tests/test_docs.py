"""The documents keep up: README's commands are what CI runs, and every command is documented and explains itself."""

import re
import shlex
from pathlib import Path

import pytest

from mimdit.bundle import open_bundle
from mimdit.cli import COMMANDS, _import_command

from .source import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").glob("*.md"))


def shell_lines(text: str) -> list[str]:
    """Commands of a document's ```sh blocks, without comments; lines that end in a backslash are joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in (line.split(" #")[0].strip() for line in lines) if line and not line.startswith("#")]


def mimdit_calls(text: str) -> list[list[str]]:
    """Arguments of every `mimdit …` that a document shows in its shell blocks."""
    words = [shlex.split(part) for line in shell_lines(text) for part in line.split("&&")]
    return [rest for program, *rest in words if Path(program).name == "mimdit"]


def test_readme_opens_with_two_commands_of_which_ci_runs_the_second() -> None:
    demo, develop = shell_lines(README)[:2]
    assert demo.startswith("python3.11 -m venv ")
    assert demo.endswith("/mimdit demo")
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    places = [ci.index(step) for step in develop.split(" && ")]  # ValueError: CI does not run this step
    assert places == sorted(places)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documented_commands_and_options_exist(path: Path) -> None:
    for words in mimdit_calls(path.read_text()):
        size = 2 if " ".join(words[:2]) in COMMANDS else 1  # `golden record` is one command of two words
        command, arguments = " ".join(words[:size]), words[size:]
        assert command in COMMANDS, f"{path.name} shows `mimdit {command}`"
        known = {option for parameter in _import_command(command).params for option in parameter.opts}
        shown = {argument for argument in arguments if argument.startswith("-")}
        assert shown <= known, f"{path.name} shows what `mimdit {command}` lacks: {shown - known}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert any(f"mimdit {name}" in path.read_text() for path in DOCUMENTS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    command = _import_command(name)
    assert command.help
    assert not [parameter.name for parameter in command.params if not parameter.help]


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_readme_and_results_are_of_the_embedded_bundle() -> None:
    manifest = open_bundle().manifest
    shown = re.findall(
        r"^\| (\w+) \| (\S+) \((\w+)\) \| (\d+) \| ([\d.]+) \| ([\d.]+) \| (\S+) \|$", README, re.MULTILINE
    )
    recorded = {(row.variant, row.degradation, row.dataset): row for row in manifest.accuracy}
    assert len(shown) > 10
    for variant, degradation, dataset, images, before, after, gain in shown:
        row = recorded[variant, degradation, dataset]
        figures = (f"{row.images}", f"{row.input_psnr:.2f}", f"{row.psnr:.2f}", f"{row.psnr - row.input_psnr:+.2f}")
        assert (images, before, after, gain) == figures
    results = (ROOT / "docs" / "results.md").read_text()
    assert f"Bundle {manifest.id}." in results
    assert "\n## From the reference to the variants\n" in results
