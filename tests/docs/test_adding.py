"""The examples of docs/adding are files that run, and the pages quote them to the letter."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
from definitions import by_definition
from support import close, one_layer, random_case
from support.report.folders import quarter_and_eighth

import harness.commands
import harness.methods.eviction
from harness import methods
from harness.__main__ import main
from harness.attention.scores import Scores
from harness.commands.compose import compositions
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import load_paper_task
from harness.methods import catalogue, decode
from harness.report import figures
from harness.report.drawing.save import save
from harness.report.load import load
from harness.report.sources import Sources
from harness.sweep.job import Job

ADDING = Path(__file__).parents[2] / "docs" / "adding"
QUOTED = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages():
    return sorted(ADDING.glob("*.md"))


@pytest.fixture
def strided(tmp_path, monkeypatch):
    """The example as a method among the others: its file lies in the folder of a family."""
    shutil.copy(ADDING / "examples" / "strided.py", tmp_path)
    family = harness.methods.eviction
    monkeypatch.setattr(family, "__path__", [*family.__path__, str(tmp_path)])
    catalogue._modules.cache_clear()
    yield "strided"
    catalogue._modules.cache_clear()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_quotes_its_files_to_the_letter(page):
    for name, quoted in QUOTED.findall(page.read_text(encoding="utf-8")):
        assert quoted == (ADDING / name).read_text(encoding="utf-8")


def test_every_example_is_quoted_by_a_page():
    quoted = {name for page in pages() for name, _ in QUOTED.findall(page.read_text(encoding="utf-8"))}
    assert {f"examples/{file.name}" for file in (ADDING / "examples").glob("*.*")} <= quoted


def test_the_example_of_a_method_is_found_by_its_file(strided):
    assert strided in methods.names()
    assert methods.facts(strided)["family"] == "eviction"


def test_the_example_of_a_method_can_be_named_and_set_on_the_command_line(strided):
    (config,) = compositions(["methods=all", "method.strided.k=7"])
    assert config["method"][strided]["k"] == 7
    assert strided in Job.of(config).methods


def test_the_example_of_a_method_is_dense_with_a_full_budget(strided):
    case = random_case()
    close(decode(methods.create(strided, k=100), *case), decode(methods.create("dense"), *case))


def test_the_example_of_a_method_sees_only_every_nth_token(strided):
    case = random_case(pads=(0,), p=18, t=1)
    case.v.requires_grad_()
    decode(methods.create(strided, k=7), *case).sum().backward()
    seen = (case.v.grad != 0).any(-1)[0, 0].nonzero()[:, 0].tolist()
    assert seen == [0, 3, 6, 9, 12, 15, 18]


def test_the_example_of_a_method_computes_what_its_definition_says(strided):
    spec = importlib.util.spec_from_file_location("strided_definition", ADDING / "examples" / "strided_definition.py")
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    case, scores = random_case(), Scores(8**-0.5)
    for k in (1, 5, 7, 20):
        expected = by_definition(case, scores, lambda _, k=k: written.definition({"k": k}, None))
        close(decode(methods.create(strided, k=k), *case, scores), expected)


def test_the_example_of_a_method_keeps_to_a_ratio(strided):
    found = methods.solve(strided, one_layer(4.0, 1000, 64))
    dense = methods.create("dense").transfers(1000, 64)
    assert found.transfers(1000, 64) <= dense / 4 < methods.create(strided, k=found.k + 1).transfers(1000, 64)


def test_the_example_of_a_task_is_asked_and_scored():
    task = load_paper_task("paper_capitals", ADDING / "examples", {"shots": 2, "count": len, "positions": 99})
    suite = Suite({"capitals": task}, 2)
    assert suite.requests[0].context == "Japan: Tokyo\nKenya: Nairobi\nFrance:"
    scores, _ = suite.score({request.key: " Paris" for request in suite.requests})
    assert [(score.example, score.value) for score in scores] == [("France", 1.0), ("Japan", 0.0)]


def test_the_example_of_a_figure_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(ADDING / "examples")])
    quarter_and_eighth().write(tmp_path / "results")
    drawn = save(figures.find("seconds").draw(Sources(load(tmp_path / "results"))), tmp_path / "drawn")
    assert [drawing.stem.split("-")[0] for drawing in drawn] == ["seconds"]


def test_the_example_of_a_command_is_found_by_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(harness.commands, "__path__", [*harness.commands.__path__, str(ADDING / "examples")])
    quarter_and_eighth().write(tmp_path)
    (file,) = tmp_path.glob("*/run.json")
    file.write_text(json.dumps({"planned": ["dense-00000000", "sparq-11111111"]}))
    assert main(["cells", str(tmp_path)]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["dense-00000000", "sparq-11111111"]
