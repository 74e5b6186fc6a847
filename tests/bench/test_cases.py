"""What is timed is one and the same step, however often, and it is checked against float64 before."""

import dataclasses
import math

import pytest
import torch
from support import KNOBS, kernels

from harness import methods
from harness.bench.cases import BY_KERNEL, BY_TORCH, Buffers, Layout, method_call, prompt_of, repeated
from harness.bench.check import Definition, Trial, outcome_of
from harness.bench.columns import Status
from harness.errors import InputError
from harness.kernels import KVCache, find_binding

DEVICE = torch.device(kernels.DEVICE)
LAYOUT = Layout(2, 60, 4, 2, 16, torch.float32)
SERVED = [name for name, knobs in KNOBS.items() if find_binding(methods.create(name, **knobs))]


def definition(name, inputs, steps, **knobs):
    method = methods.create(name, **knobs)
    return Definition.of(method, inputs.step, prompt_of(method, inputs.step, steps))


@pytest.mark.parametrize("name", KNOBS)
def test_a_step_in_torch_can_be_repeated_and_equals_its_definition(name):
    inputs = LAYOUT.buffers(DEVICE)
    call = repeated(methods.create(name, **KNOBS[name]), inputs.step)
    first = call(inputs.step)
    assert torch.equal(call(inputs.step), first)
    assert definition(name, inputs, BY_TORCH, **KNOBS[name]).compare(first, 1e-4).error < 1e-5


@pytest.mark.usefixtures("triton")
@pytest.mark.parametrize("name", SERVED)
def test_a_step_of_a_kernel_can_be_repeated_and_equals_its_definition(name):
    inputs = LAYOUT.buffers(DEVICE)
    call = method_call(name, inputs, "triton", **KNOBS[name])
    first = call()
    assert torch.equal(call(), first)
    assert definition(name, inputs, BY_KERNEL, **KNOBS[name]).compare(first, 1e-4).error < 1e-5


def test_h2o_is_timed_after_the_prompt_was_cut_down():
    seen = []

    class Spied(methods.find("h2o")):
        def choose(self, score, column, n):
            seen.append(score.shape[2])
            return super().choose(score, column, n)

    step = LAYOUT.buffers(torch.device("cpu")).step
    call = repeated(Spied(k=6), step)
    call(step)
    call(step)
    assert seen == [59, 8, 8]


@pytest.fixture
def tied():
    """Inputs of which the first of two heads has two equal channels at the place where SparQ's choice ends."""
    inputs = LAYOUT.buffers(DEVICE)
    q = torch.linspace(4, 1, 16, device=DEVICE).expand(2, 2, 2, 16).clone()
    q[:, 0, :, 3] = q[:, 0, :, 2]
    return Buffers(q, inputs.cache)


def test_a_head_whose_choice_hangs_on_a_tie_is_left_out(tied):
    truth = definition("sparq", tied, BY_KERNEL, r=3, k=6)
    wrong_there = truth.one.clone()
    wrong_there[:, 0] += 1
    assert truth.compare(wrong_there, 1e-4) == pytest.approx((0, 0.5), abs=1e-5)
    assert definition("dense", tied, BY_KERNEL).compare(torch.zeros(2, 2, 2, 16, device=DEVICE), 1e-4).compared == 1


def test_an_output_is_compared_head_by_head():
    inputs = LAYOUT.buffers(DEVICE)
    truth = definition("dense", inputs, BY_KERNEL)
    off = truth.one.clone()
    off[1, 1] *= 1.25
    assert truth.compare(off, 1e-4).error == pytest.approx(0.25, abs=1e-5)


def test_nothing_is_right_where_every_head_hangs_on_a_tie(tied):
    q = tied.q[:, :1].expand(2, 2, 2, 16).contiguous()
    truth = definition("sparq", dataclasses.replace(tied, q=q), BY_KERNEL, r=3, k=6)
    assert truth.compare(truth.one, 1e-4) == (math.inf, 0)


def trial(call, refusal=InputError, tolerance=1e-4):
    truth = definition("dense", inputs := LAYOUT.buffers(DEVICE), BY_KERNEL)
    return Trial(
        "t", lambda: [lambda: call(inputs)], lambda calls: truth.compare(calls[0](), tolerance), tolerance, refusal
    )


def attended(inputs):
    return torch.nn.functional.scaled_dot_product_attention(inputs.q, inputs.step.k, inputs.step.v)


def raising(error):
    def call(_):
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (attended, Status.OK),
        (lambda inputs: attended(inputs) * 1.001, Status.WRONG),
        (lambda inputs: attended(inputs) * torch.nan, Status.WRONG),
        (raising(InputError("too wide\nfor this")), Status.UNSUPPORTED),
        (raising(torch.OutOfMemoryError("4 GiB")), Status.OUT_OF_MEMORY),
    ],
    ids=["right", "wrong", "nan", "refused", "memory"],
)
def test_only_a_right_call_has_a_time(call, status):
    found = outcome_of(trial(call), DEVICE, 1)
    assert found.status == status
    assert (found.timing is None) == (status != Status.OK)
    assert (found.comparison is None) == (status in {Status.UNSUPPORTED, Status.OUT_OF_MEMORY})
    assert "\n" not in found.note


def test_a_fault_that_is_no_refusal_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        outcome_of(trial(raising(ZeroDivisionError())), DEVICE, 1)


def test_memory_that_runs_out_is_no_refusal_of_a_backend():
    found = outcome_of(trial(raising(torch.OutOfMemoryError("4 GiB")), RuntimeError), DEVICE, 1)
    assert found.status == Status.OUT_OF_MEMORY


@pytest.mark.usefixtures("triton")
def test_a_head_too_wide_for_the_kernels_is_refused():
    k = torch.randn(1, 1, 40, 512, device=DEVICE)
    with pytest.raises(InputError, match="larger than the kernels'"):
        method_call("dense", Buffers(k[:, :, :1], KVCache.of(k, k)), "triton")


def test_a_method_that_learns_from_prompts_is_refused_where_there_are_none():
    with pytest.raises(InputError, match="Loki learns from prompts, of which there are none here"):
        method_call("loki", LAYOUT.buffers(DEVICE), "torch", r=3, k=6, components="calibrated")
