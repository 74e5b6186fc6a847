"""TokenSelect against the authors' own retriever (and, where that cannot run, a transcription of it)."""

import dataclasses

import pytest
import torch
from support import close, random_case, run, steps
from support.tracing import trace

from golden import attended, by_head, settings
from harness import methods
from harness.attention import LayerShape, Rope
from harness.errors import InputError
from harness.methods import Budget, create

REUSING = {"top_k": 4, "n_init": 2, "n_local": 3, "similarity_threshold": 0.6}
SMOLLM2 = (LayerShape(3, 64, group=3),) * 30


def method_of(setting):
    given = {knob: value for knob, value in setting.given.items() if knob not in ("source", "kind")}
    return create("token_select", **given) if given else create("dense")


def rope(setting):
    return Rope.plain(float(setting.array("rope_theta")), setting.array("query").shape[-1])


@settings("token_select")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(method_of(setting), torch.float64, rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(torch.float64), atol=1e-5, rtol=0)


@settings("token_select", lambda setting: "kind" not in setting.given)
def test_the_same_tokens_are_kept(setting):
    found = attended(method_of(setting), *setting.tensors(torch.float64), rope=rope(setting))
    assert torch.equal(found, by_head(setting.array("kept"), found.shape[1]))


def alike(pads):
    """A case in which every other step asks what the step before it asked."""
    case = random_case(pads=pads, p=30, t=6)
    case.q[:, :, 31::2] = case.q[:, :, 30:-1:2]
    return case


PLAIN = REUSING | {"positions": "original", "scores": "rotated"}


def test_a_row_reuses_its_own_selection_beside_others_and_behind_padding():
    case = alike((0, 4, 11))
    case.q[1, :, 31] *= -1
    together = run("token_select", PLAIN, case)
    for row, pad in enumerate((0, 4, 11)):
        bare = [x[row : row + 1, :, pad:] for x in (case.q, case.k, case.v)]
        alone = dataclasses.replace(case, **dict(zip("qkv", bare, strict=True)), p=30 - pad)
        alone.mask = torch.ones(1, 36 - pad, dtype=torch.bool)
        close(together[row : row + 1], run("token_select", PLAIN, alone))


def test_a_step_that_reuses_a_selection_reads_no_keys_to_choose_and_is_charged_for_none():
    case, method = alike((0, 0)), create("token_select", **PLAIN)
    for i, (step, state) in enumerate(steps(case, method)):
        (k, read), (v, read_v) = trace(step.k), trace(step.v)
        method.attend(dataclasses.replace(step, k=k, v=v), state)
        (bits,) = {float(bits) for bits in method.meter(state).steps[i]}
        assert int(read.sum((1, 2, 3)).max() + read_v.sum((1, 2, 3)).max()) <= bits / 16
        chosen = 0 if i % 2 else step.length - 5
        assert bits == 16 * 2 * 8 * (chosen + 2 * 9 + 2 + 3)


def test_without_reuse_all_keys_are_read_so_that_half_the_bytes_is_the_least():
    with pytest.raises(InputError, match="token_select cannot reach ratio 2"):
        methods.solve("token_select", Budget(2, 8000, SMOLLM2))
    assert methods.solve("token_select", Budget(1.5, 8000, SMOLLM2)).top_k > 100
    assert methods.solve("token_select", Budget(4, 8000, SMOLLM2), similarity_threshold=0.9).top_k > 1000


def test_short_prompts_keep_a_smaller_part_of_the_first_and_the_last_tokens():
    solved = methods.solve("token_select", Budget(1.4, 400, SMOLLM2))
    assert (solved.n_init, solved.n_local) == (50, 100)
