"""The corpus that belongs to the project: sound, and large enough for every task."""

import re

import pandas as pd
import pytest
import yaml
from support.sweeps import configuration

from harness.data.chronicle import chronicle
from harness.data.embedded import materialise
from harness.data.sources import DataSpec, resolve
from harness.errors import InputError
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import load_paper_task
from harness.paths import asset
from tasks.paper.metrics import normalise_answer, starts_with_answer

CORPUS = asset("tasks") / "corpus"
FILES = sorted(CORPUS.glob("*.yaml"))
TASKS = ("squad", "triviaqa", "cnn_dailymail", "wikitext", "repetition")
every_article = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def suite(task, cache, limit=None):
    source = resolve(DataSpec(**configuration("data=embedded")["data"]), task, CORPUS, cache)
    return Suite({task: load_paper_task(f"paper_{task}", asset("tasks") / "paper", source.arguments)}, limit)


def test_there_are_about_two_dozen_articles_on_different_subjects():
    assert len(FILES) >= 24
    assert len({read(file)["title"] for file in FILES}) == len(FILES)


@every_article
def test_an_article_has_300_to_600_words_in_whole_paragraphs(file):
    paragraphs = read(file)["paragraphs"]
    assert 300 <= sum(len(p.split()) for p in paragraphs) <= 600
    assert all(p == " ".join(p.split()) and p.endswith(".") for p in paragraphs)


@every_article
def test_every_answer_is_a_span_of_its_paragraph(file):
    article = read(file)
    assert len({q["question"] for q in article["questions"]}) == len(article["questions"]) >= 5
    for question in article["questions"]:
        assert question["question"].endswith("?")
        assert question["answers"]
        for answer in question["answers"]:
            assert isinstance(answer, str)
            assert re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", article["paragraphs"][question["paragraph"]])
            assert normalise_answer(answer)


@every_article
def test_trivia_have_aliases_and_their_document_tells_one(file):
    article = read(file)
    document = " ".join(article["paragraphs"]).lower()
    assert len(article["trivia"]) >= 2
    for trivia in article["trivia"]:
        assert trivia["question"].endswith("?")
        assert trivia["answer"] in trivia["aliases"]
        assert starts_with_answer(trivia["answer"], trivia["aliases"])
        assert any(alias.lower() in document for alias in trivia["aliases"])


@every_article
def test_a_summary_has_two_or_three_sentences(file):
    highlights = read(file)["highlights"]
    assert 2 <= len(highlights) <= 3
    assert all(h.endswith(".") and len(h.split()) >= 5 for h in highlights)


def test_the_schemas_are_those_of_the_public_data_sets(cache):
    folder = materialise(CORPUS, cache)
    columns = {name: set(pd.read_parquet(folder / f"{name}.parquet").columns) for name in TASKS}
    assert columns["squad"] == {"id", "title", "context", "question", "answers"}
    assert columns["triviaqa"] >= {"question", "question_id", "answer", "entity_pages"}
    assert columns["cnn_dailymail"] == {"id", "article", "highlights"}
    assert (columns["wikitext"], columns["repetition"]) == ({"page"}, {"text"})
    squad = pd.read_parquet(folder / "squad.parquet")
    for context, answers in zip(squad["context"], squad["answers"], strict=True):
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert context[start : start + len(text)] == text
    assert squad["id"].is_unique


def test_it_is_written_once_and_anew_when_an_article_changes(cache, tmp_path):
    first = materialise(CORPUS, cache)
    stamp = (first / "squad.parquet").stat().st_mtime_ns
    assert materialise(CORPUS, cache) == first
    assert (first / "squad.parquet").stat().st_mtime_ns == stamp
    for file in FILES[:2]:
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    other = materialise(tmp_path, cache)
    assert other != first
    assert len(pd.read_parquet(other / "cnn_dailymail.parquet")) == 2


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_at_least_two_dozen_examples_of_useful_length(task, cache):
    requests = suite(task, cache).requests
    assert len(requests) >= 24
    assert len({r.key for r in requests}) == len(requests)
    lengths = [len(r.context) for r in requests]
    assert min(lengths) >= 1500
    assert max(lengths) <= 8000


def test_a_repetition_can_be_carried_on_verbatim_in_one_way_only(cache):
    for request in suite("repetition", cache, 24).requests:
        prompt = request.context.rsplit("\n", 200)[-1] or request.context[-60:]
        before = request.context[: -len(prompt)]
        assert request.context[-100:] + request.target[:50] in request.context
        assert before


def test_the_chronicle_is_the_same_everywhere_and_another_for_another_seed():
    assert chronicle(30) == chronicle(30)
    assert chronicle(30) != chronicle(30, seed=1)
    assert len(chronicle(300)) > 9 * len(chronicle(30)) / 2


def test_sources_that_cannot_be_are_refused(cache, tmp_path):
    with pytest.raises(InputError, match=r"data\.root=FOLDER"):
        resolve(DataSpec("local", files={"squad": ["x"]}), "squad", CORPUS, cache)
    with pytest.raises(InputError, match="is not a folder"):
        resolve(DataSpec("local", str(tmp_path / "no"), {"squad": ["x"]}), "squad", CORPUS, cache)
    with pytest.raises(InputError, match="names no file for task squad"):
        resolve(DataSpec("local", str(tmp_path), {}), "squad", CORPUS, cache)
    assert resolve(DataSpec("hub"), "squad", CORPUS, cache).arguments == {}
