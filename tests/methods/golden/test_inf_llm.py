"""InfLLM's decode steps against the authors' own, from the state that their prefill leaves, which is written out here.

The published method prefills in chunks; what is compared is what comes after. The transcription of that prefill is held
to the authors' outputs first, then its scores take the place of those that our dense prefill would give.
"""

import dataclasses

import numpy as np
import torch

from golden import settings
from harness import methods
from harness.attention import LayerPrefix, LayerShape, Rope, Step
from harness.attention.scores import Scores
from harness.attention.statistics import ReceivedWithin
from harness.methods import Budget, create
from harness.methods.cost import LayerAt

SMOLLM2 = (LayerShape(3, 64, group=3),) * 30


def rope(setting):
    return Rope.plain(float(setting.array("rope_base")), setting.array("query").shape[-1])


def method_of(setting):
    return create("inf_llm", **{knob: value for knob, value in setting.given.items() if knob != "chunk"})


class Prefill:
    """The published prefill of one row, one chunk of queries after the other: outputs, and scores by query head."""

    def __init__(self, setting):
        self.given, self.p, turn = setting.given, int(setting.array("prefill_length")), rope(setting).rotate
        take = [setting.array(name, torch.float64)[0] for name in ("query_unrotated", "key_unrotated", "value")]
        group = len(take[0]) // len(take[1])
        k, v = (x.repeat_interleave(group, 0) for x in take[1:])
        places = torch.arange(take[0].shape[1])
        far = turn(take[0], torch.full_like(places, self.given["window"] - 1))
        self.q, self.k = (turn(x, places).numpy() for x in (take[0], k))
        self.far, self.k0, self.v = far.numpy(), k.numpy(), v.numpy()
        self.start, self.sinks, self.blocks = 0, [], []
        self.score, self.output = np.zeros(self.q.shape[:2]), np.zeros(self.q.shape)
        for first in range(0, self.p, self.given["chunk"]):
            self.process(range(first, min(first + self.given["chunk"], self.p)))
            self.file(min(first + self.given["chunk"], self.p))

    def process(self, queries):
        """Attend: local tokens at their distance; chosen blocks, sinks and the remainder far away."""
        window, end = self.given["window"], queries.stop
        remainder = list(range(self.start, self.start + max(end - self.start - window, 0)))
        known = [*self.chosen(queries), *self.sinks]
        for head in range(len(self.q)):
            for i in queries:
                near = list(range(max(0, i - window + 1), i + 1))
                seen = [t for r, t in enumerate(remainder) if i - queries.start + self.p - r >= window]
                logits = [self.q[head, i] @ self.k[head, t] for t in near]
                logits += [self.far[head, i] @ self.k0[head, t] for t in known + seen]
                weights = np.exp(np.array(logits) * self.q.shape[2] ** -0.5)
                weights /= weights.sum()
                self.output[head, i] = weights @ self.v[head, near + known + seen]
                self.score[head, near] += weights[: len(near)]

    def chosen(self, queries):
        """Tokens of the best blocks for all heads."""
        mean = self.far[:, list(queries)].mean(1)
        value = [sum(float(q @ key) for q, key in zip(mean, keys, strict=True)) for _, keys in self.blocks]
        order = sorted(range(len(value)), key=lambda i: (value[i], i), reverse=True)[: self.given["top"]]
        return [token for i in sorted(order) for token in self.blocks[i][0]]

    def file(self, end):
        """Move what left the window to the sinks, then into blocks."""
        window, block = self.given["window"], self.given["block"]
        more = max(min(self.given["sinks"] - len(self.sinks), end - self.start - window), 0)
        self.sinks += range(self.start, self.start + more)
        self.start += more
        while end - self.start - block >= window:
            tokens = list(range(self.start, self.start + block))
            best = [sorted(tokens, key=lambda t: (row[t], t))[-self.given["representatives"] :] for row in self.score]
            self.blocks.append((tokens, [self.k0[head, of].mean(0) for head, of in enumerate(best)]))
            self.start += block


def decoded(setting, received):
    """Each step of a row with the state of ours, which starts from these scores [Hq, P] of the prompt."""
    method = method_of(setting)
    q, k, v, mask, p = setting.tensors(torch.float64)
    q, mask = q.unflatten(1, (k.shape[1], -1)), mask[:, None]
    given = {ReceivedWithin(method.window): received.view(*q.shape[:3], p)}
    place = LayerPrefix(k[:, :, :p], v[:, :, :p], mask[..., :p], k.shape[2] - p, statistics=given, rope=rope(setting))
    state = method.start(place)
    for n in range(p + 1, k.shape[2] + 1):
        yield Step(q[:, :, :, n - 1], k[:, :, :n], v[:, :, :n], mask[..., :n], Scores(k.shape[3] ** -0.5)), state


@settings("inf_llm")
def test_decode_steps_are_the_authors_after_their_prefill(setting):
    theirs, method = Prefill(setting), method_of(setting)
    prefilled = torch.from_numpy(theirs.output[:, : theirs.p])
    torch.testing.assert_close(prefilled, setting.array("out_prefill", torch.float64)[0], atol=1e-4, rtol=0)
    steps = decoded(setting, torch.from_numpy(theirs.score[:, : theirs.p]))
    for (step, state), expected in zip(steps, setting.expected(torch.float64).unbind(2), strict=True):
        found = method.attend(step, state).flatten(1, 2)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@settings("inf_llm", lambda setting: setting.name == "default_like")
def test_the_authors_blocks_are_chosen(setting):
    theirs, method = Prefill(setting), method_of(setting)
    sinks, block = method.sinks, method.block
    steps = decoded(setting, torch.from_numpy(theirs.score[:, : theirs.p]))
    for (step, state), chosen in zip(steps, setting.array("blocks")[0], strict=True):
        v = step.v.clone().requires_grad_(True)
        method.attend(dataclasses.replace(step, v=v), state).square().sum().backward()
        kept = (v.grad != 0).any(-1)[0, 0]
        filed = (step.length - 1 - method.window - sinks) // block
        assert set(chosen.tolist()) == {i for i in range(filed) if kept[sinks + i * block]}
        assert int(kept.sum()) == step.length - (filed - len(chosen)) * block


def test_a_short_prompt_has_a_smaller_window_and_smaller_blocks():
    solved = methods.solve("inf_llm", Budget(4, 1200, SMOLLM2))
    assert (solved.window, solved.block, solved.sinks) == (100, 37, 18)
    long = methods.solve("inf_llm", Budget(4, 100_000, SMOLLM2))
    assert (long.window, long.block, long.sinks) == (4096, 128, 128)


def test_a_block_costs_what_it_is_known_by_and_its_tokens_where_it_is_chosen():
    method = create("inf_llm", top=3, sinks=4, window=20, block=8)
    cost = method.cost(LayerAt(101, 16, prompt=100, group=2))
    blocks = (100 - 20 - 4) // 8
    assert cost.choose == 16 * (blocks * 2 * 16 + 2 * 20 + 16 + 2)
    assert cost.attend == 16 * 2 * 16 * (101 - (blocks - 3) * 8)
