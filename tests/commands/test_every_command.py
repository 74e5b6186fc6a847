"""What holds for every command alike: its help, its mistakes, and how it is found."""

import subprocess
import sys

import pytest

from harness import commands
from harness.__main__ import main
from harness.commands.parser import find_commands


def typed(package="harness.commands", before=""):
    """What is typed for each command and subcommand, and where it was found."""
    for name, found in find_commands(package).items():
        yield f"{before}{name}", found
        if found.is_folder:
            yield from typed(found.module, f"{before}{name} ")


COMMANDS = dict(typed())
FOLDERS = [command for command, found in COMMANDS.items() if found.is_folder]


def only_line(text):
    """The one line of a text."""
    (line,) = text.splitlines()
    return line


def test_commands_and_subcommands_are_found():
    assert {"run", "lm-eval", "bench attention"} < set(COMMANDS) and "compose" not in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_command_is_for_and_what_to_type(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: harness {command} ") and not err
    assert COMMANDS[command].about in out


def test_help_is_asked_in_either_way(capsys):
    main(["help", "bench", "attention"])
    first = capsys.readouterr().out
    main(["bench", "attention", "-h"])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("command", [*sorted(COMMANDS.keys() - FOLDERS - {"lm-eval"}), "lm-eval run"])
def test_an_unknown_option_is_one_sentence_that_names_the_help(command, capsys):
    assert main([*command.split(), "--nope"]) == 2
    line = only_line(capsys.readouterr().err)
    assert line == f"harness: unrecognized arguments: --nope (see `harness {command} --help`)"


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("run", "--cfg"),
        ("figures", "--out"),
        ("report", "--models"),
        ("bench attention", "--s"),
        ("lm-eval run", "--tasks"),
    ],
)
def test_a_missing_value_is_one_sentence_that_names_the_help(command, option, capsys):
    assert main([*command.split(), option]) == 2
    line = only_line(capsys.readouterr().err)
    assert line.startswith("harness: argument ") and option in line and "expected" in line
    assert line.endswith(f"(see `harness {command} --help`)")


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_an_unknown_name_lists_the_known_ones(folder, capsys):
    assert main([*folder.split(), "walk"]) == 2
    package = COMMANDS[folder].module if folder else "harness.commands"
    line, help_of = only_line(capsys.readouterr().err), f"harness {folder}".strip()
    assert line.startswith(f"harness: unknown command 'walk': choose from {', '.join(find_commands(package))}")
    assert line.endswith(f"(see `{help_of} --help`)")


def test_help_of_every_command_needs_no_torch():
    calls = [[], *([*command.split(), "--help"] for command in COMMANDS)]
    code = (
        "import sys\n"
        "from harness.__main__ import main\n"
        f"for call in {calls!r}:\n"
        "    assert main(call) == 0\n"
        "    assert 'torch' not in sys.modules, call\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_in_the_folder_is_a_command_if_it_says_what_it_is_about(tmp_path, monkeypatch):
    (tmp_path / "take_five.py").write_text('raise SystemExit\nABOUT = "Rest."\n')
    (tmp_path / "helper.py").write_text("THING = 1\n")
    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
    assert find_commands("harness.commands") == {"take-five": ("harness.commands.take_five", "Rest.", False)}


def test_run_takes_options_and_values_in_any_order(capsys):
    assert main(["run", "limit=2", "--cfg", "job", "seed=7", "--package", "engine"]) == 0
    assert capsys.readouterr().out.startswith("# @package engine")
