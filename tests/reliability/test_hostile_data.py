"""Whatever a data set holds comes out as a result or as one sentence, never as a traceback."""

import csv
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.__main__ import main
from harness.commands.compose import compositions
from harness.data.embedded import materialise
from harness.errors import InputError
from harness.evaluation.prompts import Encoder
from harness.evaluation.requests import Request
from harness.hf import find
from harness.hf.spec import ModelSpec
from harness.paths import asset, cache_root
from harness.sweep.job import Job
from harness.sweep.prepare import Prepared, prepare

TASKS = {
    "squad": ["id", "title", "context", "question", "answers"],
    "triviaqa": ["question", "question_id", "answer", "entity_pages"],
    "cnn_dailymail": ["id", "article", "highlights"],
    "wikitext": ["page"],
    "repetition": ["text"],
}
WRONG = {
    "missing": None,
    "number": 5,
    "null": [None],
    "bytes": b"bytes",
    "list": [[1, 2]],
    "mapping": {"a": 1},
    "empty": "",
}
TEXTS = {
    "empty": "",
    "blank": " \t\n",
    "long": "a" * 100_000,
    "long words": "word " * 20_000,
    "emoji": "emoji 👩‍👩‍👧‍👦 🏳️‍🌈",
    "right to left": "שלום עולם مرحبا \u202e",
    "control": "a\x00b\x07c\r\u2028",
    "regex": "$^.*+?()[]{}|\\",
    "markup": "<script>alert(1)</script> \\input{x} {{7*7}} ${HOME}",
}
SURROGATES = {"half a pair": "a\ud800b", "its other half": "\udc80", "a whole pair": "\ud83d\ude00"}


@pytest.fixture(scope="module")
def corpus():
    """The embedded tables, all columns right."""
    folder = materialise(asset("tasks") / "corpus", cache_root())
    return {task: pd.read_parquet(folder / f"{task}.parquet").head(40) for task in TASKS}


@pytest.fixture(scope="module")
def configs(tiny):
    """The configuration of a job on each task."""
    given = ["model=custom", f"model.path={tiny}", "model.device=cpu", "methods=[dense]", "data=embedded", "limit=2"]
    return {task: compositions([*given, f"task={task}"])[0] for task in TASKS}


@pytest.fixture
def job(configs, tmp_path, request):
    """A job on one task's table as a file."""
    request.getfixturevalue("capsys")  # absl, a scorer's, closes the stream that it was imported under: let it be this

    def made(task, table):
        table.to_parquet(tmp_path / f"{task}.parquet")
        data = {**configs[task]["data"], "kind": "local", "root": str(tmp_path)}
        return Job.of({**configs[task], "data": data})

    return made


def broken(table, column, value):
    """The table without the column, or with one value, given alone or in a list, in all of its rows."""
    if value is None:
        return table.drop(columns=column)
    plain = value[0] if isinstance(value, list) else value
    return table.assign(**{column: pd.Series([plain] * len(table), index=table.index)})


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_table_with_columns_that_are_missing_or_of_another_kind_is_a_job_or_a_sentence(corpus, job, data):
    task = data.draw(st.sampled_from(sorted(TASKS)))
    table = corpus[task]
    for column in data.draw(st.lists(st.sampled_from(TASKS[task]), min_size=1, unique=True)):
        table = broken(table, column, WRONG[data.draw(st.sampled_from(sorted(WRONG)))])
    try:
        assert isinstance(prepare(job(task, table.assign(other=1))), Prepared)
    except InputError as error:
        assert str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("task", "column"), [(task, column) for task, names in TASKS.items() for column in names if column != "title"]
)
def test_a_missing_column_is_named(corpus, job, task, column):
    with pytest.raises(InputError, match=f"no column {column}"):
        prepare(job(task, corpus[task].drop(columns=column).assign(other=1)))


@pytest.fixture(scope="module")
def encoder(tiny):
    checkpoint = find(ModelSpec(name="tiny", path=str(tiny), device="cpu"))
    return Encoder(checkpoint.tokenizer(), checkpoint.max_length, checkpoint.generation())


@pytest.mark.parametrize("text", {**TEXTS, **SURROGATES}.values(), ids={**TEXTS, **SURROGATES})
def test_any_text_becomes_work_that_fits_the_model(encoder, text):
    asked = {
        "generate": Request("t", "e", "generate", context=text, max_new=8, until=(text,) if text else ()),
        "score": Request("t", "e", "score", context=text, continuation=f"{text} is", separately=True),
        "roll": Request("t", "e", "roll", continuation=text),
    }
    for request in asked.values():
        if request.kind == "score" and len(text) > 5_000:
            with pytest.raises(InputError, match="positions"):
                encoder.prompts(request)
            continue
        for unit in encoder.prompts(request):
            assert len(unit.key) > 20
            assert 1 <= len(unit.tokens) <= len(unit.tokens) + unit.steps <= 1025  # the last token takes no position
            assert isinstance(encoder.text(request, list(unit.tokens)), str)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_only_halves_of_pairs_are_changed_in_a_text(encoder, text):
    prompt = encoder.prompts(Request("t", "e", "generate", context=f"x{text}", max_new=8))[0].tokens
    kept = re.sub("[\ud800-\udfff]", "?", f"x{text}")
    assert prompt == tuple(encoder._tokenizer(kept).input_ids)


def test_a_run_over_hostile_rows_ends_with_a_table(tmp_path, capsys, tiny):
    rows = [
        {"id": name, "title": name, "context": f"{text} the cat", "question": text, "answers": {"text": [text]}}
        for name, text in {**TEXTS, 'quotes ", \n and commas': 'who, "what"\n\nwhen'}.items()
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "squad.parquet")
    given = [f"model.path={tiny}", "data=embedded", "data.kind=local", f"data.root={tmp_path}", "task=squad"]
    results = tmp_path / "results"
    code = main(["run", "model=custom", *given, "methods=[dense,lm_infinite]", "ratios=[2]", f"results={results}"])
    assert (code, capsys.readouterr().err) == (0, "")
    (frame,) = (pd.read_parquet(file) for file in results.glob("*/rows.parquet"))
    assert set(frame["example"]) == {row["id"] for row in rows}
    lines = list(csv.DictReader((results / "summary.csv").read_text(encoding="utf-8").splitlines()))
    assert {line["n"] for line in lines} == {str(len(rows))}
