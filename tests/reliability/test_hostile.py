"""Whatever is asked on the command line is a job or one sentence, never a traceback, and never runs code."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import methods
from harness.__main__ import main
from harness.commands.vetting import check_constructs_nothing
from harness.data.sources import DataSpec
from harness.errors import InputError
from harness.hf import checkpoint
from harness.hf.spec import ModelSpec
from harness.sweep.job import EngineSpec, Job, TaskSpec
from harness.sweep.typed import build, typed

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
SECTIONS = {"model": ModelSpec, "task": TaskSpec, "data": DataSpec, "engine": EngineSpec}
FIELDS = [(section, field.name) for section, cls in SECTIONS.items() for field in dataclasses.fields(cls)]


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


@given(st.sampled_from(FIELDS), anything())
@settings(max_examples=500)
def test_a_key_of_a_section_is_taken_or_refused_by_name(where, value):
    section, key = where
    try:
        Job.of({**GOOD, section: {**GOOD[section], key: value}})
    except InputError as error:
        assert f"{section}.{key}" in str(error)
        assert "\n" not in str(error)


@given(
    st.sampled_from([(name, knob) for name in methods.names() for knob in methods.knobs(methods.find(name))]),
    anything(),
)
@settings(max_examples=500)
def test_a_knob_is_taken_or_refused_by_name(where, value):
    method, knob = where
    try:
        Job.of({**GOOD, "methods": ["dense", method], "method": {method: {knob: value}}})
    except InputError as error:
        assert f"{method}.{knob}" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:-1", "CUDA", "cpu:0", "", "xpu", "meta"])
def test_a_device_that_is_not_there_is_one_sentence_before_anything_is_loaded(device, capsys, monkeypatch):
    monkeypatch.setattr(checkpoint.AutoConfig, "from_pretrained", None)
    assert main(["run", f"model.device={device}", "data=embedded"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"harness: model.device={device} is")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(InputError, match=r"model.device=cuda is not here"):
        checkpoint.find(ModelSpec(name="m", path="nowhere", device="cuda"))


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
        check_constructs_nothing(["--config-dir", str(tmp_path)])


def test_launchers_of_hydra_and_its_plugins_are_allowed():
    check_constructs_nothing(
        ["hydra.launcher._target_=hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"]
    )
