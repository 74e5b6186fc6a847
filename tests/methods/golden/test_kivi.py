"""KIVI against its authors' attention: outputs, and what the cache reads back as."""

from support import close

from golden import settings
from harness.methods import create
from harness.methods.cost import ELEMENT, LayerAt
from harness.methods.decoding import steps

KNOBS = ("bits", "group_size", "residual_length")
TOLERANCE = 2e-5


def method_of(setting):
    return create("kivi", **{knob: setting.given[knob] for knob in KNOBS})


def is_kivi(setting):
    return setting.given["kind"] == "kivi"


@settings("kivi", is_kivi)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), TOLERANCE)


@settings("kivi", lambda setting: setting.has("cache_k_after_last_step"))
def test_the_cache_reads_back_as_the_authors(setting):
    method = method_of(setting)
    for i, (step, state) in enumerate(steps(method, *setting.tensors())):
        if i == 0:
            close(state.k.read(), setting.array("cache_k_after_prefill"), TOLERANCE)
            close(state.v.read(), setting.array("cache_v_after_prefill"), TOLERANCE)
        method.attend(step, state)
    state.settle()
    close(state.k.read(), setting.array("cache_k_after_last_step"), TOLERANCE)
    close(state.v.read(), setting.array("cache_v_after_last_step"), TOLERANCE)


@settings("kivi", is_kivi)
def test_bits_are_those_of_the_tokens_that_are_not_read_exactly(setting):
    method, (_, k, v, _, _) = method_of(setting), setting.tensors()
    d, per_number = k.shape[3], method.bits + 2 * ELEMENT / method.group_size
    for step, state in steps(method, *setting.tensors()):
        method.attend(step, state)
        n = step.length
        inexact = sum(
            int((mine != exact[:, :, :n]).any(3).sum((1, 2)).max()) / k.shape[1]
            for mine, exact in ((state.k.read(), k), (state.v.read(), v))
        )
        assert method.cost(LayerAt(n, d, n)).attend == d * (inexact * per_number + (2 * n - inexact) * ELEMENT)
