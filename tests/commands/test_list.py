"""What `harness list` says of methods is what they say of themselves."""

import dataclasses

import pytest

from harness import methods
from harness.__main__ import main


@pytest.fixture
def listed(capsys):
    """Call `harness list` and return what it printed."""

    def call(*arguments):
        assert main(["list", *arguments]) == 0
        return capsys.readouterr().out

    return call


def entries(text):
    """The lines of each method, by its name."""
    return {entry.split(":")[0]: entry.splitlines() for entry in text.split("\n\n")}


def test_every_method_has_family_year_source_knobs_and_needs(listed):
    found = entries(listed("methods"))
    assert set(found) == set(methods.names())
    for name, (head, *lines) in found.items():
        cls, family = methods.find(name), methods.facts(name)["family"]
        paper = cls.about.paper
        assert head == f"{name}: {cls.about.title} ({family}{f', {paper.year}' if paper else ''})"
        told = dict(line.split(maxsplit=1) for line in lines)
        assert ("source" in told) == (paper is not None)
        assert paper is None or told["source"] == f"{paper.title}. {paper.cite}"
        known = methods.knobs(cls)
        shown = [part.split("=") for part in told["knobs"].split(", ")] if known else []
        assert [one[0] for one in shown] == list(known)
        assert [one[1:] for one in shown] == [
            [] if value is dataclasses.MISSING else [str(value)] for value in known.values()
        ]
        assert told.get("note", "") == cls.about.note


def test_what_a_method_needs_is_said_and_which_knob_makes_it_need_more(listed):
    needs = {
        name: lines[-1 - bool(methods.find(name).about.note)] for name, lines in entries(listed("methods")).items()
    }
    assert needs["sparq"] == "  needs   nothing besides the cache"
    assert needs["token_select"] == "  needs   the layers' rotary embedding"
    assert needs["double_sparsity"] == (
        "  needs   nothing besides the cache; with channels=q or channels=k or channels=qk the task's first prompts to "
        "learn from"
    )


def test_a_method_that_no_run_can_use_stands_last_with_its_reason(listed, monkeypatch):
    cls = methods.find("sparq")
    monkeypatch.setattr(cls, "about", dataclasses.replace(cls.about, not_runnable="it wants the moon"))
    found = entries(listed("methods"))
    last = [name for name in found if methods.find(name).about.not_runnable]
    assert "sparq" in last and list(found)[-len(last) :] == last
    assert found["sparq"][-1] == "  not runnable: it wants the moon"


def test_a_group_is_listed_alone_and_as_it_stands_among_all(listed):
    alone = listed("task")
    assert alone.startswith("task=\n") and "squad" in alone
    assert alone in listed() and "model=" not in alone


def test_the_bibliography_is_that_of_the_methods(listed):
    assert listed("--bib") == methods.bibliography() == listed("methods", "--bib")
    assert listed("--bib").count("@") == len({methods.find(name).about.paper for name in methods.names()} - {None})


def test_a_group_without_publications_is_refused(capsys):
    assert main(["list", "task", "--bib"]) == 2
    assert capsys.readouterr().err == (
        "harness: --bib prints the publications of methods, task has none: leave it out\n"
    )
