"""Methods whose state owns the cache never look at the exact keys and values of tokens that they have compressed."""

import pytest
import torch
from support import VARIANTS, each_method, random_case, run, steps

from harness import methods

OWN = [variant for variant in VARIANTS if methods.create(variant[0], **variant[1]).owns_cache]
NAN = float("nan")


@each_method(OWN)
@pytest.mark.parametrize("pads", [(0, 4), (11, 0)])
def test_exact_values_of_older_tokens_are_not_read_once_the_state_is_made(name, knobs, layer, pads):
    method, case = methods.create(name, **knobs), random_case(pads, p=18, t=15)
    expected = run(name, knobs, random_case(pads, p=18, t=15), layer)
    outputs = []
    for step, state in steps(case, method, layer=layer):
        case.k[:, :, : step.length - 1] = NAN  # of which prefix and step hold views
        case.v[:, :, : step.length - 1] = NAN
        outputs.append(method.attend(step, state).flatten(1, 2))
    assert torch.equal(torch.stack(outputs, 2), expected)


def test_the_poison_is_seen_by_a_method_that_reads_exact_values():
    method, case = methods.create("window", k=6), random_case()
    for step, state in steps(case, method):
        case.k[:, :, : step.length - 1] = NAN
        assert method.attend(step, state).isnan().all()
