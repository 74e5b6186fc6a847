"""A value that Hydra cannot take as it is comes back as it has to be written, and so it means what was meant."""

import shlex

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.__main__ import main
from harness.commands.compose import compositions
from harness.commands.quoting import quoted

SIGNS = st.sampled_from("\\\"'=,:;#~!&(){}[] ")
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="$")
TEXTS = st.lists(SIGNS | LETTERS, min_size=1, max_size=12).map("".join)  # every other letter is a sign


def taken(argument):
    """The value that the configuration has for an instruction that is written on a shell's command line."""
    (config,) = compositions(["task=squad", *shlex.split(argument)])
    return config["task"]["system_instruction"]


@pytest.mark.parametrize("value", ["a=b", "a#b", "~/x", "a!b", "it's", 'say "no"', "a{b", "é", "(a)", "a;b", "back\\"])
def test_a_value_that_hydra_cannot_read_is_shown_as_it_can(value, capsys):
    override = f"task.system_instruction={value}"
    if value != "back\\":
        assert main(["run", "--cfg", "job", override]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"harness: {override}: Hydra reads more than a text in this value: write {quoted(override)}"
    assert taken(quoted(override)) == value


@settings(max_examples=3, phases=[Phase.generate])  # many texts at once: to compose takes long, to shrink too
@given(st.lists(TEXTS, min_size=40, max_size=40))
def test_a_text_that_is_written_so_is_the_text_in_every_job(values):
    arguments = (quoted(f"+text_{i}={value}") for i, value in enumerate(values))
    jobs = compositions(["seed=0,1", *shlex.split(" ".join(arguments))])
    assert [[job[f"text_{i}"] for i in range(40)] for job in jobs] == [values, values]


def test_a_comma_is_a_text_a_list_or_several_jobs(capsys):
    assert main(["run", "--cfg", "job", "task.system_instruction=Be brief, friend"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert """'task.system_instruction="Be brief, friend"'""" in line
    assert "'task.system_instruction=[Be brief, friend]'" in line
    assert "-m" in line


@pytest.mark.parametrize("argument", ["ratios=[2,4", "quickstart", "x=[a=b]"])
def test_what_is_no_text_is_told_with_the_form_of_a_list(argument, capsys):
    assert main(["run", argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"harness: {argument} is no KEY=VALUE")
