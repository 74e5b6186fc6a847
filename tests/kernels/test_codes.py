"""Attention over packed codes by kernels is what harness/methods/compressed/ defines, while the codes grow."""

from dataclasses import replace

import pytest
import torch
from support.kernels import DEVICE, Inputs, error

from harness import methods
from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.scores import Scores
from harness.kernels import KVCache, find_binding
from harness.kernels.codes import CodedCache, attend_to_codes
from harness.kernels.codes.tiles import CodeTiles

SETTINGS = [
    ("kivi", {"bits": 2, "group_size": 4, "residual_length": 8}),
    ("kivi", {"bits": 4, "group_size": 16, "residual_length": 32}),
    ("kivi", {"bits": 8, "key_bits": 2, "group_size": 32, "residual_length": 32}),
    ("int_kv", {"bits": 2}),
    ("int_kv", {"bits": 4, "by": "channel"}),
    ("int_kv", {"bits": 8}),
    ("fp8", {}),
    ("fp8", {"scale": "prompt"}),
]
EVERY = pytest.mark.parametrize(("name", "knobs"), SETTINGS, ids=str)
GROUPS = pytest.mark.parametrize("group", [1, 3])
LEARNT = pytest.mark.parametrize(("name", "knobs"), [*SETTINGS[:4], SETTINGS[5]], ids=str)
ONE_OF_EACH = pytest.mark.parametrize(("name", "knobs"), [SETTINGS[0], SETTINGS[4], SETTINGS[6]], ids=str)


def prefix_of(x, n, steps):
    """The first n columns as a prompt."""
    live = (torch.arange(n, device=DEVICE) >= x.padding[:, None])[:, None]
    k, v = (tensor[:, :, :n].masked_fill(~live[..., None], 0) for tensor in (x.k, x.v))
    return LayerPrefix(k, v, live, steps)


class Decoding:
    """Steps behind a prompt, by the method and by the kernel, whose cache holds nothing but what is still exact."""

    def __init__(self, name, knobs, x, prompt, tiles=None):
        total = x.k.shape[2]
        self.x, self.tiles, self.n = x, tiles, prompt
        self.method = methods.create(name, **knobs)
        prefix = prefix_of(x, prompt, total - prompt)
        self.state = self.method.start(prefix)
        self.coded = CodedCache.of(self.method, prefix, exact=int(name == "kivi"))
        self.cache = KVCache.of(x.k[:, :, :prompt], x.v[:, :, :prompt], x.padding, total - prompt, transposed=False)
        self.cache.longest = self.cache.capacity  # as a recorded step has it
        for tensor in (self.cache.k, self.cache.v):
            tensor[:, :, prompt:] = torch.nan

    def step(self):
        """The kernel's output, and that of attention in float64 to what the method's state reads back."""
        x, n = self.x, self.n
        self.n += 1
        self.cache.k[:, :, n], self.cache.v[:, :, n] = x.k[:, :, n], x.v[:, :, n]
        self.cache.kv_lengths += 1
        q = x.q.roll(n, 3)
        got = attend_to_codes(q, self.cache, self.coded, tiles=self.tiles)
        whole = prefix_of(x, n + 1, 0)
        step = Step(q, whole.k, whole.v, whole.mask, Scores(q.shape[3] ** -0.5))
        self.method.attend(step, self.state)
        seen = self.state.seen_by(step)
        self._forget()
        return got, attend_to_all(replace(seen, q=q.double(), k=seen.k.double(), v=seen.v.double()))

    def _forget(self):
        """Poison what the cache holds of tokens that are in codes."""
        column = torch.arange(self.cache.capacity, device=DEVICE)
        for exact, of in ((self.cache.k, self.state.k), (self.cache.v, self.state.v)):
            settled = self.x.padding + torch.tensor(of.settled, device=DEVICE)
            exact.masked_fill_((column < settled[:, None])[:, None, :, None], torch.nan)


@EVERY
@GROUPS
def test_steps_in_which_tokens_become_codes_equal_the_definition(name, knobs, group):
    decoding = Decoding(name, knobs, Inputs.random(h=1, g=group, n=70, d=32, padding=11), prompt=60)
    for _ in range(10):
        assert error(*decoding.step()) < 1e-5


@EVERY
@pytest.mark.parametrize("d", [16, 64, 48], ids=["a word of 2 bits", "words", "bytes"])
def test_short_floats_of_groups_are_read_back_for_tensor_cores(name, knobs, d):
    """48 channels are no power of two, and are read back byte by byte."""
    knobs = knobs | ({"group_size": 16} if name == "kivi" and knobs["group_size"] > 16 else {})
    case = Inputs.random(h=1, g=2, n=66, d=d, padding=11, dtype=torch.float16)
    decoding = Decoding(name, knobs, case, prompt=64)
    for _ in range(2):
        assert error(*decoding.step()) < 1e-3


@ONE_OF_EACH
def test_a_prompt_too_short_to_be_encoded_grows_into_codes(name, knobs):
    decoding = Decoding(name, knobs, Inputs.random(h=1, n=17, d=32, padding=3), prompt=5)
    for _ in range(12):
        assert error(*decoding.step()) < 1e-5


@ONE_OF_EACH
@pytest.mark.parametrize("tiles", [CodeTiles(16, 1), CodeTiles(16, 1, parts=3), CodeTiles(64, 4, parts=2)], ids=str)
def test_however_the_tokens_are_split_the_output_is_the_same(name, knobs, tiles):
    decoding = Decoding(name, knobs, Inputs.random(g=2, n=91, d=32, padding=50), prompt=88, tiles=tiles)
    for _ in range(3):
        assert error(*decoding.step()) < 1e-5


@ONE_OF_EACH
@pytest.mark.parametrize("d", [96, 160])
def test_heads_of_every_width_are_read_back(name, knobs, d):
    decoding = Decoding(name, knobs, Inputs.random(g=2, h=1, n=66, d=d, padding=9), prompt=64)
    for _ in range(2):
        assert error(*decoding.step()) < 1e-5


@LEARNT
def test_what_is_encoded_while_decoding_is_what_a_longer_prompt_would_be(name, knobs):
    x = Inputs.random(h=1, n=70, d=64, padding=4)
    decoding = Decoding(name, knobs, x, prompt=60)
    for _ in range(10):
        decoding.step()
    prompt = prefix_of(x, 70 - decoding.coded.exact, 0)
    expected = CodedCache.of(decoding.method, prompt, decoding.coded.exact)
    for got, other in ((decoding.coded.k, expected.k), (decoding.coded.v, expected.v)):
        for row, settled in enumerate(other.base.tolist()):
            assert settled > 0
            assert torch.equal(got.codes[row, :, :settled], other.codes[row, :, :settled])
            groups = settled // got.groups.tokens
            for of_group in ("scale", "low"):
                parts = (getattr(held.groups, of_group)[row, :, :groups] for held in (got, other))
                torch.testing.assert_close(*parts, atol=1e-7, rtol=1e-6)


@ONE_OF_EACH
def test_a_step_may_be_repeated(name, knobs):
    decoding = Decoding(name, knobs, Inputs.random(h=1, n=68, d=32, padding=8), prompt=63)
    for _ in range(3):
        n = decoding.n
        for exact, of in ((decoding.cache.k, decoding.x.k), (decoding.cache.v, decoding.x.v)):
            exact[:, :, n] = of[:, :, n]
        decoding.cache.kv_lengths += 1
        once = attend_to_codes(decoding.x.q.roll(n, 3), decoding.cache, decoding.coded)
        decoding.cache.kv_lengths -= 1
        again, _ = decoding.step()
        assert torch.equal(once, again)


def test_groups_that_are_no_power_of_two_run_in_torch():
    assert find_binding(methods.create("kivi", bits=2, group_size=24, residual_length=48)) is None
