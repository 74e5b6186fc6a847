"""Expected Attention against its authors' press, and against loops where models rotate in other ways."""

import numpy as np
import pytest
import torch
from support import close, random_case

from golden import left, settings
from harness.attention import Rope
from harness.methods import create

KNOBS = ("k", "future", "sink", "covariance", "value_norm", "epsilon")
ROPES = {
    "halves": Rope.plain(100, 8),
    "interleaved": Rope(torch.tensor([1.0, 0.3, -0.1, 0.02]), interleaved=True),
    "partial": Rope.plain(50, 4),
    "scaled": Rope(torch.tensor([0.5, 0.05, 0.01, 0.001]), scaling=1.3),
    "none": Rope(torch.zeros(0)),
}


def method_of(setting):
    return create("expected_attention", **{knob: setting.given[knob] for knob in KNOBS})


def rope(setting):
    return Rope.plain(float(setting.array("rope_theta")), setting.array("query").shape[-1])


def is_ours(setting):
    return setting.given["kind"] == "expected_attention"


@settings("expected_attention", is_ours)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting), rope=rope(setting)), setting.expected(), 2e-5)


@settings("expected_attention", is_ours)
def test_the_prompt_tokens_left_are_the_authors(setting):
    found = left(method_of(setting), *setting.tensors(), rope=rope(setting))
    assert torch.equal(found, setting.array("kept"))


def kept_by_loops(q, k, v, rope, knobs):
    """Positions kept of q [G, P, D], k and v [P, D], one KV head of one row."""
    p, d = k.shape
    at = torch.arange(p)
    to_come = range(p, p + knobs["future"])
    turn = np.mean([rope.rotate(torch.eye(d, dtype=torch.float64), torch.tensor(i)).numpy().T for i in to_come], 0)
    rest, weights = range(knobs["sink"], p), []
    for head in q:
        bare = rope.unrotate(head, at).numpy()[knobs["sink"] :]
        mean, spread = turn @ bare.mean(0), turn @ np.cov(bare.T, bias=True) @ turn.T
        z = np.array([key @ mean / d**0.5 + key @ spread @ key / (2 * d) for key in k.numpy()[knobs["sink"] :]])
        weights.append(np.exp(z - z.max()) / np.exp(z - z.max()).sum())
    worth = np.mean(weights, 0) * np.linalg.norm(v.numpy()[knobs["sink"] :], axis=-1)
    ranked = sorted(zip(worth, rest, strict=True), reverse=True)
    return {*range(knobs["sink"]), *(i for _, i in ranked[: knobs["k"] - knobs["sink"]])}


@pytest.mark.parametrize("kind", ROPES)
@pytest.mark.parametrize("seed", range(3))
def test_any_rotation_and_none_is_averaged_over_the_positions_to_come_of_each_row(kind, seed):
    knobs = {"k": 12, "sink": 3, "future": 30}
    case = random_case(pads=(0, 5), p=40, t=1, seed=seed)
    found = left(create("expected_attention", **knobs), *case, rope=ROPES[kind])
    for row, pad in enumerate((0, 5)):
        for head in range(2):
            q = case.q[row, 3 * head : 3 * head + 3, pad:40]
            expected = kept_by_loops(q, case.k[row, head, pad:40], case.v[row, head, pad:40], ROPES[kind], knobs)
            assert {int(column) - pad for column in found[row, head].nonzero()} == expected
