"""Tokens chosen by labels of their keys, in kernels, are those that Loki and Double Sparsity choose."""

import pytest
import torch
from support.kernels import Inputs, error

from harness import methods
from harness.attention import Step
from harness.attention.index.labels import label_codes
from harness.attention.packed.bits import unpack
from harness.attention.scores import Scores
from harness.kernels import find_binding
from harness.kernels.labels.projected import ProjectedKeys
from harness.kernels.labels.score import score_rows
from harness.kernels.labels.tiles import LabelTiles

LABELS = {
    "loki": {"r": 20},
    "loki all": {"r": 64},
    "double_sparsity 2 bits": {"r": 21, "label_bits": 2},
    "double_sparsity 4 bits": {"r": 21, "label_bits": 4},
    "double_sparsity 8 bits": {"r": 16, "label_bits": 8},
    "double_sparsity exact": {"r": 16, "label_bits": 16},
}
EVERY = pytest.mark.parametrize(("name", "knobs"), [(k.split()[0], v) for k, v in LABELS.items()], ids=[*LABELS])


def read_back(labels):
    """The labels as numbers, [B, H, C, r]."""
    if isinstance(labels, ProjectedKeys):
        return labels.keys
    low, high = labels.ends[..., None, :].unbind(-1)
    return unpack(labels.codes, labels.bits, labels.channels.shape[2]) * (high - low) / (2**labels.bits - 1) + low


@EVERY
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("k", [1, 24, 400])
def test_attention_to_the_best_labels_equals_the_definition(name, knobs, group, k):
    x = Inputs.random(g=group)
    assert error(x.by_kernel(name, k=k, **knobs), x.expected(name, k=k, **knobs)) < 1e-5


@EVERY
def test_how_many_tokens_are_decoded_is_read_from_the_device(name, knobs):
    x = Inputs.random(n=150)
    assert error(x.by_kernel(name, longest=192, k=24, **knobs), x.expected(name, k=24, **knobs)) < 1e-5


@EVERY
def test_labels_of_many_programs_equal_the_definition(name, knobs):
    x = Inputs.random(b=1, h=1, g=2, n=5000, d=80)
    assert error(x.by_kernel(name, k=24, **knobs), x.expected(name, k=24, **knobs)) < 1e-5


@EVERY
def test_equal_keys_are_chosen_newest_first(name, knobs):
    x = Inputs.random(n=90)
    x.k[:, :, 40:80] = x.k[:, :, 40:41]
    assert error(x.by_kernel(name, k=30, **knobs), x.expected(name, k=30, **knobs)) < 1e-5


@EVERY
def test_a_label_made_while_decoding_is_what_the_method_makes(name, knobs):
    x = Inputs.random(n=60, padding=7)
    method = methods.create(name, k=8, **knobs)
    binding, state = find_binding(method), method.start(x.prefix(torch.float32))
    labels = binding.for_layer(x.prefix(torch.float32)).keywords["labels"]
    labels.scores(x.q, x.cache(transposed=False))
    step = Step(x.q, x.k, x.v, x.mask, Scores(1.0))
    method.attend(step, state)
    torch.testing.assert_close(read_back(labels), (state.keys if name == "loki" else state.labels).rows)


@EVERY
def test_a_step_may_be_repeated(name, knobs):
    x = Inputs.random()
    kernel = find_binding(methods.create(name, k=24, **knobs)).for_layer(x.prefix(torch.float32))
    once, again = (kernel(x.q, x.cache(transposed=False), scale=0.1) for _ in range(2))
    assert torch.equal(once, again)


@pytest.mark.parametrize("tiles", [LabelTiles(1, 512, 64), LabelTiles(4, 64, 64), LabelTiles(2, 128, 16)], ids=str)
def test_however_rows_are_split_their_scores_are_products(tiles):
    x = Inputs.random(n=200, d=24)
    cache = x.cache(transposed=False)
    query = x.q.sum(2)
    scores = score_rows(query, cache.k, cache, cache.longest, tiles=tiles)
    expected = (x.k.double() @ query.double()[..., None])[..., 0]
    live = x.mask.expand_as(expected)
    torch.testing.assert_close(scores.score[live].double(), expected[live], atol=1e-4, rtol=0)
    groups = expected.masked_fill(~live, -torch.inf).unflatten(2, (-1, scores.of)).amax(3)
    read = groups > -torch.inf
    torch.testing.assert_close(scores.largest[read].double(), groups[read], atol=1e-4, rtol=0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_packed_codes_and_their_ends_are_the_label_as_the_method_reads_it_back(bits):
    x = Inputs.random(n=70, d=32)
    method = methods.create("double_sparsity", r=11, k=8, label_bits=bits)
    labels = find_binding(method).for_layer(x.prefix(torch.float32)).keywords["labels"]
    read = read_back(labels)[:, :, :69]
    torch.testing.assert_close(read, method.start(x.prefix(torch.float32)).labels.rows)
    assert torch.equal(unpack(labels.codes, bits, 11)[:, :, :69].float(), label_codes(read, bits)[0])


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("loki", {"r": 0.5, "k": 6}),
        ("loki", {"r": 5, "k": 0.5}),
        ("loki", {"r": 5, "k": 6, "per_query_head": True}),
        ("double_sparsity", {"r": 5, "k": 6, "per_query_head": True}),
    ],
)
def test_counts_that_depend_on_the_data_and_heads_that_choose_alone_run_in_torch(name, knobs):
    assert find_binding(methods.create(name, **knobs)) is None
