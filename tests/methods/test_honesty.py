"""A method reads no more of K and V than it says it moves, by gradients and by an instrumented cache. float64."""

import dataclasses

import torch
from support import VARIANTS, each_method, random_case, steps
from support.tracing import trace

from harness import methods
from harness.methods.controls.oracle_topk import OracleTopK
from harness.methods.cost import dense_transfers

PAYING = [v for v in VARIANTS if not methods.find(v[0]).oracle]
"""All but the controls that choose for free, and say so."""


@each_method()
def test_entries_with_a_gradient_are_paid_for(name, knobs, layer):
    method, case = methods.create(name, **knobs), random_case(p=40)
    for step, state in steps(case, method, layer=layer):
        k, v = (x.clone().requires_grad_(True) for x in (step.k, step.v))
        output = method.attend(dataclasses.replace(step, k=k, v=v), state)
        grads = torch.autograd.grad(output.square().sum(), (k, v), allow_unused=True, retain_graph=True)
        used = sum((grad != 0).sum((2, 3)) for grad in grads if grad is not None)
        assert used.max() > 0
        assert used.max() <= method.transfers(step.length, 8)


def entries_read(method, step, state):
    """Most entries of K and V that a KV head read in a step."""
    k, k_read = trace(step.k)
    v, v_read = trace(step.v)
    method.attend(dataclasses.replace(step, k=k, v=v), state)
    return int((k_read.sum((2, 3)) + v_read.sum((2, 3))).max())


@each_method(PAYING)
def test_entries_read_to_choose_or_to_attend_are_paid_for(name, knobs, layer):
    method, case = methods.create(name, **knobs), random_case(pads=(0, 0), p=40)
    for step, state in steps(case, method, layer=layer):
        assert 0 < entries_read(method, step, state) <= method.transfers(step.length, 8)


def test_the_tracer_counts_all_that_dense_attention_reads():
    method, case = methods.create("dense"), random_case(pads=(0, 0))
    for step, state in steps(case, method):
        assert entries_read(method, step, state) == 2 * step.length * 8 == dense_transfers(step.length, 8) - 16


def test_the_tracer_sees_keys_that_are_read_only_to_choose():
    method, case = OracleTopK(k=3), random_case(pads=(0, 0), p=40)
    for step, state in steps(case, method):
        assert entries_read(method, step, state) == step.length * 8 + 3 * 8 > method.transfers(step.length, 8)
