"""What must be true of every prefill that is a method's own. float64 unless a test says otherwise."""

import dataclasses

import pytest
import torch
from definitions import defined
from support import VARIANTS, close, full, label

from harness import methods
from harness.attention import LayerPrefill, Rope
from harness.attention.scores import Scores

OWN = [variant for variant in VARIANTS if methods.create(variant[0], **variant[1]).own_prefill]
OWN += [(name, knobs) for name, file in defined().items() for knobs in getattr(file, "PREFILL", [])]
"""Methods with a prefill of their own, and further settings that give one to a method."""
every_prefill = pytest.mark.parametrize(("name", "knobs"), OWN, ids=map(label, OWN))


def random_prompt(lengths=(23, 17), h=2, g=3, d=8, seed=0, dtype=torch.float64, window=None):
    """A layer's prompts of these lengths, left-aligned."""
    make, s = torch.Generator().manual_seed(seed), max(lengths)
    q = torch.randn(len(lengths), h, g, s, d, generator=make, dtype=torch.float64).to(dtype)
    k, v = (torch.randn(len(lengths), h, s, d, generator=make, dtype=torch.float64).to(dtype) for _ in range(2))
    mask = torch.arange(s) < torch.tensor(lengths)[:, None]
    dead = None if mask.all() else mask
    return LayerPrefill(q, k, dead, Scores(d**-0.5), within(s, window), v=v, rope=Rope.plain(10_000, d))


def within(s, window):
    """What queries see that look back over `window` tokens, as a layer hands it over; None where there is no window."""
    if window is None:
        return None
    back = torch.arange(s)[:, None] - torch.arange(s)
    return ((back >= 0) & (back < window))[None, None]


def run(name, knobs, prompt):
    return methods.create(name, **knobs).prefill(prompt)


def live(prompt, output):
    """Without the outputs of padding, which are nobody's."""
    return output.masked_fill(~prompt.live[:, None, None, :, None], 0)


def weights_of(name, knobs, prompt):
    """The attention weights [B, H, G, S, S], by values that show them."""
    b, h, s, _ = prompt.k.shape
    return run(name, knobs, dataclasses.replace(prompt, v=torch.eye(s, dtype=prompt.k.dtype).expand(b, h, s, s))).output


def dense_by_hand(prompt):
    s = prompt.k.shape[2]
    seen = torch.ones(s, s, dtype=torch.bool).tril() if prompt.window_mask is None else prompt.window_mask[:, :, None]
    logits = prompt.scores(prompt.q, prompt.k[:, :, None])
    return logits.masked_fill(~seen, -torch.inf).softmax(-1) @ prompt.v[:, :, None]


@every_prefill
@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("cap", [None, 0.7])
def test_a_full_budget_is_the_dense_prefill(name, knobs, window, cap):
    prompt = dataclasses.replace(random_prompt(window=window), scores=Scores(0.4, cap))
    found = run(name, full(name, knobs), prompt)
    close(live(prompt, found.output), live(prompt, dense_by_hand(prompt)))
    assert found.density.tolist() == [1, 1]


@every_prefill
def test_a_small_budget_leaves_pairs_out(name, knobs):
    prompt = random_prompt()
    found = run(name, knobs, prompt)
    assert (live(prompt, found.output) - live(prompt, dense_by_hand(prompt))).abs().amax((1, 2, 3, 4)).min() > 1e-3
    assert (found.density < 0.95).all()


@every_prefill
@pytest.mark.parametrize("window", [None, 6])
def test_the_density_is_the_share_of_visible_pairs_that_have_a_weight(name, knobs, window):
    prompt = random_prompt(window=window)
    weights = weights_of(name, knobs, prompt)
    for row, length in enumerate((23, 17)):
        given = weights[row, :, :, :length] > 0
        visible = torch.ones(23, 23, dtype=torch.bool).tril() if window is None else prompt.window_mask[0, 0]
        assert not (given & ~visible[:length]).any()
        share = given.sum().item() / (6 * visible[:length].sum().item())
        assert run(name, knobs, prompt).density[row].item() == pytest.approx(share)


@every_prefill
def test_every_query_attends_to_something(name, knobs):
    weights = weights_of(name, knobs, random_prompt())
    assert (weights[0].sum(-1) > 0.99).all()
    assert (weights[1, :, :, :17].sum(-1) > 0.99).all()


@every_prefill
def test_what_padding_holds_has_no_influence(name, knobs):
    prompt = random_prompt()
    dead = ~prompt.live[:, None, :, None]
    hostile = [x.masked_fill(dead[:, None] if x.dim() == 5 else dead, 1e4) for x in (prompt.q, prompt.k, prompt.v)]
    other = dataclasses.replace(prompt, **dict(zip("qkv", hostile, strict=True)))
    found, expected = run(name, knobs, other), run(name, knobs, prompt)
    close(live(prompt, found.output), live(prompt, expected.output))
    assert torch.equal(found.density, expected.density)


@every_prefill
@pytest.mark.parametrize("length", [5, 16, 17])
@pytest.mark.parametrize("window", [None, 6])
def test_a_padded_row_equals_the_unpadded_row(name, knobs, length, window):
    prompt = random_prompt((23, length), window=window)
    bare = {x: getattr(prompt, x)[1:, ..., :length, :] for x in "qkv"}
    alone = run(name, knobs, dataclasses.replace(prompt, **bare, mask=None, window_mask=within(length, window)))
    found = run(name, knobs, prompt)
    close(found.output[1:, :, :, :length], alone.output)
    assert found.density[1:].tolist() == pytest.approx(alone.density.tolist())


@every_prefill
def test_equal_query_heads_of_a_group_are_one_head(name, knobs):
    single = random_prompt(g=1)
    triple = dataclasses.replace(single, q=single.q.repeat_interleave(3, 2))
    close(run(name, knobs, triple).output, run(name, knobs, single).output.repeat_interleave(3, 2))


@every_prefill
def test_zero_queries_give_a_finite_output(name, knobs):
    prompt = random_prompt()
    assert run(name, knobs, dataclasses.replace(prompt, q=prompt.q * 0)).output.isfinite().all()


@every_prefill
def test_the_softmax_scale_multiplies_the_query(name, knobs):
    prompt = random_prompt()
    louder = dataclasses.replace(prompt, q=prompt.q * 3, scores=Scores(0.2))
    close(run(name, knobs, dataclasses.replace(prompt, scores=Scores(0.6))).output, run(name, knobs, louder).output)


@every_prefill
def test_bfloat16_is_close_to_float32(name, knobs):
    half = random_prompt((61, 40), dtype=torch.bfloat16, seed=3)
    single = dataclasses.replace(half, **{x: getattr(half, x).float() for x in "qkv"})
    found, expected = run(name, knobs, half).output, run(name, knobs, single).output
    assert (found.dtype, expected.dtype) == (torch.bfloat16, torch.float32)
    assert (found.float() - expected).abs().median() < 0.01


@every_prefill
def test_the_prompt_is_left_as_it_was(name, knobs):
    prompt, untouched = random_prompt(), random_prompt()
    run(name, knobs, prompt)
    assert all(torch.equal(getattr(prompt, x), getattr(untouched, x)) for x in ("q", "k", "v", "mask"))
