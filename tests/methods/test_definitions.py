"""Each method against its definition, written out slowly in definitions/NAME.py."""

import re
from pathlib import Path

import pytest
import torch
from definitions import Place, by_definition, defined
from hypothesis import given
from hypothesis import strategies as st
from support import KNOBS, place_of, random_case, steps

from harness import methods
from harness.attention.scores import Scores
from harness.methods import create, decode

cases = st.builds(
    lambda pads, h, g, p, t, seed: random_case(tuple(pads), h, g, p, t, 6, seed),
    st.lists(st.integers(0, 8), min_size=1, max_size=2),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(9, 24),
    st.integers(1, 5),
    st.integers(0, 999),
)
architectures = st.sampled_from([Scores(6**-0.5), Scores(0.9), Scores(0.8, 1.5)])
layers = st.sampled_from([0, 5])
WRITTEN_OUT = [name for name, file in defined().items() if hasattr(file, "definition")]


def check(name, knobs, case, scores, layer):
    """Compare what a method decodes with what its definition says."""
    method = create(name, **knobs)
    _, state = next(steps(case, method, scores, layer=layer))
    expected = by_definition(case, scores, lambda head: defined()[name].definition(knobs, Place(layer, head, state)))
    found = decode(method, *case, scores, **place_of(method, case, layer))
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


def test_every_method_is_defined():
    missing = set(methods.runnable()) - set(defined())
    assert not missing, f"no law holds for {missing} until tests/methods/definitions/NAME.py says what it computes"
    assert set(defined()) <= set(methods.runnable()), "a definition without a method"
    golden = {file.stem.removeprefix("test_") for file in (Path(__file__).parent / "golden").glob("test_*.py")}
    unproved = set(defined()) - set(WRITTEN_OUT) - golden
    assert not unproved, f"nothing independent says what {unproved} computes: write it out, or test authors' numbers"


@pytest.mark.parametrize("name", WRITTEN_OUT)
@given(st.data(), cases, architectures, layers)
def test_a_method_computes_what_its_definition_says(name, data, case, scores, layer):
    check(name, data.draw(defined()[name].SETTINGS), case, scores, layer)


@pytest.mark.parametrize("name", [name for name in WRITTEN_OUT if methods.create(name, **KNOBS[name]).observes])
@given(st.integers(0, 999))
def test_what_happens_to_a_token_while_decoding_counts_as_much_as_in_the_prompt(name, seed):
    check(name, KNOBS[name], random_case((0, 3), h=2, g=3, p=9, t=24, d=6, seed=seed), Scores(0.9), 0)


def has_a_part_of_k(name):
    knobs = methods.knobs(methods.find(name))
    return "k" in knobs and knobs.get("local", 0) is None


@pytest.mark.parametrize("name", [name for name in methods.runnable() if has_a_part_of_k(name)])
def test_a_quarter_of_k_is_local_by_default(name):
    case, knobs = random_case(p=30), KNOBS[name] | {"k": 10}
    default = create(name, **{**knobs, "local": None})
    assert default.resolved.local == 2
    assert torch.equal(decode(default, *case), decode(create(name, **{**knobs, "local": 2}), *case))
    assert not torch.equal(decode(default, *case), decode(create(name, **{**knobs, "local": 8}), *case))


def test_what_a_method_is_excused_from_is_a_law():
    tests = Path(__file__).parent.rglob("test_*.py")
    laws = {law for file in tests for law in re.findall(r"^def test_(\w+)", file.read_text(encoding="utf-8"), re.M)}
    for name in methods.names():
        assert set(methods.find(name).excused) <= laws, name
