"""What methods say of themselves: facts, sources, and which values their knobs may have."""

import dataclasses
import re

import pytest
from support import KNOBS

from harness import methods
from harness.__main__ import main
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.about import Paper
from harness.methods.catalogue import SHARED
from harness.methods.cost import LayerAt
from harness.methods.knob_types import floor
from harness.methods.ratio import Budget

EVERY = pytest.mark.parametrize("name", methods.names())
PAPER = Paper(
    title="Deep Thought: 42", authors="Ada B. Lovelace, Alan Turing", year=2042, arxiv="4201.00042", venue="C"
)


@EVERY
def test_a_method_says_itself_how_it_is_called_and_what_it_reads(name):
    assert "about" in vars(methods.find(name)), "its base class speaks for it"
    facts = methods.facts(name)
    assert facts["title"] and facts["access"]
    assert f"methods/{facts['family']}/{name}.py" in methods.find(name).__module__.replace(".", "/") + ".py"


def test_no_two_methods_are_called_the_same():
    assert len({methods.facts(name)["title"] for name in methods.names()}) == len(methods.names())


@EVERY
def test_a_source_can_be_looked_up(name):
    paper = methods.find(name).about.paper
    if paper is not None:
        assert paper.arxiv or paper.venue
        years = paper.year - 2000 - int(paper.arxiv[:2] or paper.year - 2000)
        assert not paper.arxiv or (re.fullmatch(r"\d{4}\.\d{5}", paper.arxiv) and 0 <= years <= 2)
        assert len(paper.authors.split(", ")) > 1 and " and " not in paper.authors


def test_a_paper_is_cited_by_its_first_author():
    assert PAPER.cite == "Lovelace et al., C 2042, arXiv 4201.00042"
    assert dataclasses.replace(PAPER, venue="").cite == "Lovelace et al., 2042, arXiv 4201.00042"
    assert dataclasses.replace(PAPER, arxiv="").cite == "Lovelace et al., C 2042"
    assert "eprint" not in dataclasses.replace(PAPER, arxiv="").bibtex


def test_a_paper_s_entry_is_of_its_kind():
    assert PAPER.bibtex.splitlines()[:4] == [
        "@inproceedings{lovelace2042deep,",
        "  title = {{Deep Thought: 42}},",
        "  author = {Ada B. Lovelace and Alan Turing},",
        "  booktitle = {C},",
    ]
    preprint = dataclasses.replace(PAPER, venue="").bibtex
    assert preprint.startswith("@misc{") and "booktitle" not in preprint


def test_the_bibliography_has_every_paper_once(repository):
    text = methods.bibliography()
    papers = {methods.find(name).about.paper for name in methods.names()} - {None}
    assert sorted(re.findall(r"title = {{(.*)}}", text)) == sorted(paper.title for paper in papers)
    assert sorted(re.findall(r"eprint = {(.*)}", text)) == sorted(paper.arxiv for paper in papers if paper.arxiv)
    keys = re.findall(r"^@\w+{(.*),$", text, re.M)
    assert len(set(keys)) == len(papers)
    stale = "docs/methods.bib is stale: python scripts/write_bibliography.py"
    assert (repository / "docs" / "methods.bib").read_text(encoding="utf-8") == text, stale


@pytest.mark.parametrize(
    ("name", "knobs", "sentence"),
    [
        ("sparq", {"r": 0}, "SparQ needs r as an integer of at least 1, not 0"),
        ("sparq", {"r": True}, "SparQ needs r as an integer of at least 1, not True"),
        ("sparq", {"r": 2.0}, "SparQ needs r as an integer of at least 1, not 2.0"),
        ("sparq", {"r": None}, "SparQ needs r as an integer of at least 1, not None"),
        ("sparq", {"r": 1, "local": -1}, "SparQ needs local as an integer of at least 0, not -1"),
        ("sparq", {"r": 1, "reallocate": 1}, "SparQ needs reallocate as true or false, not 1"),
        ("sparq", {"r": 1, "k": 6, "local": 7}, "SparQ needs local of at most k = 6, not 7"),
        ("low_rank", {"r": 1, "k": 6, "local": 7}, "LowRank needs local of at most k = 6, not 7"),
        ("h2o", {"k": 6, "local": 7}, "H2O needs local of at most k = 6, not 7"),
        ("lru", {"k": 6, "local": 7}, "LRU needs local of at most k = 6, not 7"),
        ("lm_infinite", {"k": 5}, "LMInfinite needs initial of at most k - 1 = 4, not 16"),
        ("lm_infinite", {"k": 5, "initial": 5}, "LMInfinite needs initial of at most k - 1 = 4, not 5"),
        ("streaming", {"k": 4}, "Streaming needs initial of at most k - 1 = 3, not 4"),
        ("window", {"k": 9, "initial": 4}, "Window needs initial as 0, not 4"),
        (
            "flexgen",
            {"k": 1, "reallocate": True, "before_softmax": True},
            "FlexGen loses no weight under before_softmax that reallocate could spread: set one",
        ),
        ("lru", {"k": 1, "ties": "oldest"}, "LRU needs ties as torch or newest, not 'oldest'"),
    ],
)
def test_a_value_that_a_knob_cannot_have_is_one_sentence(name, knobs, sentence):
    with pytest.raises(InputError) as raised:
        methods.create(name, **knobs)
    assert str(raised.value) == sentence


def test_a_knob_s_type_says_how_small_it_may_be():
    sparq = methods.find("sparq")
    bounds = {knob: methods.least(sparq, knob) for knob in methods.knobs(sparq) if knob not in SHARED}
    assert bounds == {"r": 1, "k": 1, "local": 0, "reallocate": None, "page_tokens": 1}
    assert methods.create("sparq", r=1, local=0).local == 0


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("sparq", {"r": 1, "k": 6, "local": 6}),
        ("h2o", {"k": 6, "local": 6}),
        ("lru", {"k": 1, "local": 0}),
        ("lm_infinite", {"k": 17}),
        ("lm_infinite", {"k": 1, "initial": 0}),
        ("streaming", {"k": 5}),
        ("window", {"k": 1}),
        ("flexgen", {"k": 1, "reallocate": True}),
    ],
)
def test_the_least_that_a_method_can_mean_is_taken(name, knobs):
    made = methods.settings(methods.create(name, **knobs))
    assert made == made | knobs


@pytest.mark.parametrize(
    ("name", "fixed", "least"),
    [("h2o", {"local": 9}, 9), ("h2o", {}, 1), ("lm_infinite", {}, 17), ("window", {}, 1), ("sparq", {"local": 7}, 7)],
)
def test_a_solver_starts_from_the_smallest_k_that_its_other_knobs_leave_room_for(name, fixed, least):
    assert floor(methods.find(name), "k", **fixed) == least
    rank = {"r": 8} if name == "sparq" else {}
    with pytest.raises(InputError, match=f"k={least} it moves"):
        methods.solve(name, Budget(16 if rank else 2000, 2000, (LayerShape(1, 64),)), **rank, **fixed)


@pytest.mark.parametrize("name", methods.runnable())
def test_every_knob_of_a_method_is_checked(name):
    for knob in methods.knobs(methods.find(name)):
        with pytest.raises(InputError, match=f"needs {knob} as"):
            methods.create(name, **{**KNOBS[name], knob: "nonsense"})


@pytest.mark.parametrize("name", sorted(set(methods.names()) - set(methods.runnable())))
def test_what_cannot_be_run_is_listed_and_refused_with_its_reason(name, capsys):
    cls = methods.find(name)
    knobs = dict.fromkeys(methods.open_knobs(name, {}), 1)
    refused = f"method '{name}' cannot be run: {cls.about.not_runnable}"
    with pytest.raises(InputError) as raised:
        methods.create(name, **knobs)
    assert str(raised.value) == refused
    with pytest.raises(InputError) as raised:
        methods.solve(name, Budget(2, 100, (LayerShape(1, 8),)), **knobs)
    assert str(raised.value) == refused
    with pytest.raises(InputError, match=re.escape(cls.about.not_runnable)):
        cls(**knobs).cost(LayerAt(10, 8, prompt=10))
    assert main(["list"]) == 0
    assert cls.about.not_runnable in capsys.readouterr().out
