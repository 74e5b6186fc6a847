"""Whatever is put in comes out as a result or as one sentence, never as a traceback."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.__main__ import main
from harness.config.job import Job
from harness.config.typed import build, typed
from harness.config.vetting import refuse_code
from harness.errors import InputError
from harness.models import find
from harness.models.spec import ModelSpec
from harness.work.requests import Encoder, Request

GOOD = {
    "model": {"name": "m", "path": "p"},
    "task": {"name": "squad", "yaml": "paper_squad"},
    "data": {"kind": "embedded"},
    "methods": ["dense", "sparq"],
    "ratios": [2, 4],
    "method": {"sparq": {"r": None, "k": 128}},
    "limit": 4,
    "results": "results",
    "engine": {"batch_tokens": 1000},
    "seed": 0,
    "shards": 1,
    "shard": None,
}
TEXTS = [
    "",
    "a" * 100_000,
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈",
    "שלום עולם مرحبا",
    "a\x00b\x07c",
    "$^.*+?()[]{}|\\",
    "<script>alert(1)</script> \\input{x}",
]


def anything():
    """Values as YAML may give them."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    )


@given(st.sampled_from(sorted(GOOD)), anything())
@settings(max_examples=300)
def test_a_configuration_makes_a_job_or_a_sentence(key, value):
    try:
        job = Job.of({**GOOD, key: value})
    except InputError as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert isinstance(job, Job)


@given(st.sampled_from(["batch_tokens", "prefill_tokens", "batch_size", "kernel"]), anything())
def test_an_engine_setting_is_taken_or_refused_by_name(key, value):
    try:
        Job.of({**GOOD, "engine": {key: value}})
    except InputError as error:
        assert f"engine.{key}" in str(error)


@given(anything())
def test_a_whole_number_is_no_text_and_no_switch(value):
    if isinstance(value, int) and not isinstance(value, bool):
        assert typed("x", value, int) == value
    else:
        with pytest.raises(InputError, match="x="):
            typed("x", value, int)


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match=r"model\.path is missing"):
        build(ModelSpec, {"name": "m"}, "model")


@pytest.mark.parametrize(
    "argument",
    [
        "+x._target_=os.system",
        "hydra.launcher._target_=subprocess.run",
        "+hydra.callbacks.x={_target_: builtins.exec}",
        "+hydra.callbacks.x._target_=hydra.utils.call",
        "hydra.sweeper={'_target_':'os.system'}",
        "+x={'_tar' '_target_' : os.system}",
        "hydra.job_logging.handlers.console.class=os.system",
        "+hydra.job_logging.handlers.x={'()': os.system}",
    ],
)
def test_the_command_line_constructs_no_object_of_its_choice(argument, capsys):
    assert main(["run", argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harness: ")


def test_a_folder_of_configuration_is_looked_through_too(tmp_path):
    (tmp_path / "evil.yaml").write_text("hydra:\n  callbacks:\n    x:\n      _target_: os.system\n")
    with pytest.raises(InputError, match=r"os\.system"):
        refuse_code(["--config-dir", str(tmp_path)])


def test_launchers_of_hydra_and_its_plugins_are_allowed():
    refuse_code(["hydra.launcher._target_=hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"])


@pytest.fixture(scope="session")
def encoder(tiny):
    checkpoint = find(ModelSpec(name="tiny", path=str(tiny), device="cpu"))
    return Encoder(checkpoint.tokenizer(), checkpoint.max_length)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_any_text_becomes_work_that_fits_the_model(encoder, text):
    request = Request("t", "e", 0, "generate", context=text, max_new=8, until=(text,) if text else ())
    (unit,) = encoder.units(request)
    assert 1 <= len(unit.work.prompt) <= 1024 - 8
    assert isinstance(encoder.text(request, list(unit.work.prompt)), str)


def _squad(**changes):
    row = {"id": "1", "title": "a", "context": "the cat sat", "question": "who?", "answers": {"text": ["cat"]}}
    return {**row, **changes}


@pytest.mark.parametrize(
    "rows",
    [
        [_squad(answers=3)],
        [_squad(context=5.5)],
        [_squad(context=None)],
        [_squad(question=b"bytes")],
        [_squad(answers={"text": []})],
    ],
    ids=["answers", "number", "null", "bytes", "no answer"],
)
def test_mistyped_rows_are_one_sentence(tmp_path, capsys, tiny, rows):
    (tmp_path / "squad").mkdir()
    pd.DataFrame(rows * 8).to_parquet(tmp_path / "squad" / "validation.parquet")
    given = [f"model.path={tiny}", "data=local", f"data.root={tmp_path}", "task=squad", f"results={tmp_path / 'r'}"]
    code = main(["run", "model=custom", *given, "methods=[dense]", "limit=1"])
    told = capsys.readouterr().err
    assert code in (0, 2)
    assert "Traceback" not in told
