"""Whatever a configuration holds, it is a job or a sentence that names the key, never a traceback."""

import copy
import dataclasses
import functools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import KNOBS

from harness import methods
from harness.commands.compose import compositions
from harness.data.sources import DataSpec
from harness.errors import InputError
from harness.hf.spec import ModelSpec
from harness.sweep.job import BudgetSpec, EngineSpec, Job
from harness.sweep.task_spec import TaskSpec
from harness.sweep.typed import build, typed
from harness.text import printable

GOOD = {
    "model": {"name": "m", "path": "p"},
    "task": {"name": "squad", "yaml": "paper_squad"},
    "data": {"kind": "embedded"},
    "methods": ["dense", "sparq"],
    "ratios": [2, 4],
    "memory_ratios": [3],
    "divergence": True,
    "dense_layers": None,
    "layers": None,
    "method": {"sparq": {"r": None, "k": 128}},
    "limit": 4,
    "repeats": 2,
    "results": "results",
    "engine": {"batch_tokens": 1000},
    "budget": {"per": "example"},
    "seed": 0,
    "shards": 1,
    "shard": None,
}
SECTIONS = {"model": ModelSpec, "task": TaskSpec, "data": DataSpec, "engine": EngineSpec, "budget": BudgetSpec}
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
    st.sampled_from([(name, knob) for name in methods.runnable() for knob in methods.knobs(methods.find(name))]),
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


@given(anything())
def test_a_whole_number_is_no_text_and_no_switch(value):
    if isinstance(value, int) and not isinstance(value, bool):
        assert typed("x", value, int) == value
    else:
        with pytest.raises(InputError, match="x="):
            typed("x", value, int)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_configuration_without_one_of_its_keys_is_refused_by_name(key):
    with pytest.raises(InputError, match=f"no key {key}:"):
        Job.of({name: value for name, value in GOOD.items() if name != key})


@given(st.text(min_size=1, max_size=8), anything())
def test_a_key_that_nothing_reads_is_refused_at_every_level(key, value):
    places = [(), *((section,) for section in SECTIONS), ("method",), ("method", "sparq")]
    for place in places:
        config = copy.deepcopy(GOOD)
        holder = functools.reduce(lambda inner, name: inner[name], place, config)
        if key not in holder and (place, key) not in {((section,), field) for section, field in FIELDS}:
            holder[key] = value
            with pytest.raises(InputError, match=re.escape(printable(key))):
                Job.of(config)


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match=r"model\.path is missing"):
        build(ModelSpec, {"name": "m"}, "model")


def test_all_methods_are_those_that_can_be_run():
    assert list(Job.of({**GOOD, "methods": "all"}).methods) == methods.runnable()
    assert set(methods.names()) - set(methods.runnable()) == {"round_attention", "hash_attention", "zip_vl"}


def test_a_method_that_no_run_can_use_is_no_part_of_all_and_is_refused_with_its_reason(monkeypatch):
    cls, before = methods.find("sparq"), set(methods.runnable())
    monkeypatch.setattr(cls, "about", dataclasses.replace(cls.about, not_runnable="needs what nobody has"))
    assert before - set(Job.of({**GOOD, "methods": "all"}).methods) == {"sparq"}
    with pytest.raises(InputError, match="method 'sparq' cannot be run: needs what nobody has"):
        Job.of(GOOD)


@pytest.mark.parametrize(
    ("method", "knobs"), [("h2o", {"k": 8, "local": ["half", 2]}), ("lm_infinite", {"k": 20, "ceiling": ["local", 9]})]
)
def test_a_knob_may_be_a_word_where_others_are_numbers(method, knobs):
    assert Job.of({**GOOD, "methods": [method], "method": {method: knobs}}).knobs == {method: knobs}


@pytest.mark.parametrize(
    ("method", "knob", "value", "wanted"),
    [
        ("h2o", "local", "most", "a whole number or half"),
        ("h2o", "local", -1, "at least 0"),
        ("lm_infinite", "ceiling", "near", "a whole number or local"),
        ("lm_infinite", "ceiling", 0, "at least 1"),
        ("h2o", "positions", "relative", "one of absolute, cache"),
    ],
)
def test_a_word_or_a_number_that_such_a_knob_has_not_is_refused(method, knob, value, wanted):
    with pytest.raises(InputError, match=f"method.{method}.{knob}={value!r} must be {wanted}"):
        Job.of({**GOOD, "methods": [method], "method": {method: {knob: value}}})


def test_the_configuration_shows_every_knob_of_every_method():
    (config,) = compositions(["seed=7"])
    shown = {name: set(knobs) for name, knobs in config["method"].items()}
    assert shown == {name: set(methods.knobs(methods.find(name))) for name in methods.names()}
    seeds = {knobs["seed"] for knobs in config["method"].values() if "seed" in knobs}
    assert seeds == {7}


def test_knobs_as_the_configuration_shows_them_are_the_methods_own():
    (config,) = compositions(["model=smollm2"])
    for name, knobs in ((name, config["method"][name]) for name in methods.runnable()):
        given = {knob: value for knob, value in knobs.items() if value is not None}
        cls, open_knobs = methods.find(name), methods.open_knobs(name, given)
        needed = {knob: KNOBS[name][knob] if methods.wanted(cls, knob, 64) else 64 for knob in open_knobs}
        assert methods.create(name, **needed, **given) == methods.create(name, **needed)
