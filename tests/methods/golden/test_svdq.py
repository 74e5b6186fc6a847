"""SVDq against two independent transcriptions of its page, by SVD and by eigenvectors."""

import pytest
import torch
from support import close, one_layer, random_case, steps

from golden import settings
from harness import methods
from harness.attention import Rope
from harness.errors import InputError
from harness.methods import create, decoding
from harness.methods.cost import LayerAt

ROPE = Rope.plain(10_000, 32)
TOLERANCE = 1e-4


def is_svdq(setting):
    return setting.given["kind"] == "svdq"


def method_of(setting):
    bits = ",".join(map(str, setting.given["bits"]))
    return create("svdq", bits=bits, joint_heads=setting.given["joint_heads"])


@settings("svdq", is_svdq)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_outputs_are_those_of_the_page(setting, dtype):
    found = setting.decode(method_of(setting), dtype, rope=ROPE)
    close(found, setting.expected(dtype), TOLERANCE)


@settings("svdq", lambda setting: setting.has("cache_k_unrotated"))
def test_the_keys_of_the_prompt_read_back_as_on_the_page(setting):
    step, state = next(decoding.steps(method_of(setting), *setting.tensors(), rope=ROPE))
    p = step.length - 1
    found = ROPE.unrotate(state.k.read(), torch.arange(p))
    close(found, setting.array("cache_k_unrotated"), TOLERANCE)


@pytest.mark.parametrize("pads", [(0, 4), (11, 0)])
@pytest.mark.parametrize("joint", [True, False])
def test_exact_keys_of_older_tokens_are_not_read_though_values_are(pads, joint):
    outputs = []
    for poison in (None, torch.nan):
        method, case = create("svdq", bits="4,2", joint_heads=joint), random_case(pads)
        for step, state in steps(case, method):
            if poison is not None:
                case.k[:, :, : step.length - 1] = poison  # of which prefix and step hold views
            outputs.append(method.attend(step, state))
    clean, poisoned = outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :]
    assert all(torch.equal(a, b) for a, b in zip(clean, poisoned, strict=True))


def test_values_in_few_bits_are_between_the_ends_of_their_token():
    method, case = create("svdq", bits="52", value_bits=2), random_case((0,), p=18, t=1)
    ((_, state),) = steps(case, method)
    found, v = state.v.read(), case.v[:, :, :18]
    step = (v.amax(-1, keepdim=True) - v.amin(-1, keepdim=True)) / 3
    assert ((found - v).abs() <= step / 2 + 1e-12).all()
    level = (found - v.amin(-1, keepdim=True)) / step
    close(level, level.round())


def test_bits_are_those_of_the_formula():
    method, at = create("svdq", bits="8,4,4,2,0,0,0,0"), LayerAt(105, 32, prompt=100, kv_heads=2)
    r, total = 32, 8 * (8 + 4 + 4 + 2)
    numbers = r * 32 + 2 * r / 2 + 32 + 5 * 32 + 105 * 32
    assert method.cost(at).attend == 100 * total / 2 + 16 * numbers


def test_directions_behind_the_prompt_s_tokens_are_not_counted():
    method = create("svdq", bits="4,4")
    few, many = (method.cost(LayerAt(n, 64, prompt=n)).attend for n in (3, 64))
    assert few == 3 * 3 * 4 + 16 * (3 * 64 + 2 * 3 + 64 + 3 * 64)
    assert many == 64 * 64 * 4 + 16 * (64 * 64 + 2 * 64 + 64 + 64 * 64)


def test_an_exact_v_is_half_of_the_bytes_and_fewer_bits_of_it_are_less():
    with pytest.raises(InputError, match=r"for V stays exact: set value_bits to 2, 4 or 8$"):
        methods.solve("svdq", one_layer(2, 4000, 128))
    assert methods.solve("svdq", one_layer(4, 4000, 128), value_bits=4).bits == "8,4,4,4,2,2,0,0"
    for ratio, bits in ((1.5, "8,4,4,4,2,2,0,0"), (1.7, "8,4,4,2,0,0,0,0"), (1.8, "4,4,2,0,0,0,0,0")):
        assert methods.solve("svdq", one_layer(ratio, 4000, 128)).bits == bits


@pytest.mark.parametrize("bits", ["2,4", "0,0", "4,-1", "53", "", -4])
def test_bits_that_rise_or_that_are_none_are_refused(bits):
    with pytest.raises(InputError, match=r"SVDq needs bits as bits of 0 to 52 that never rise"):
        create("svdq", bits=bits)


def test_more_parts_than_columns_are_refused():
    with pytest.raises(InputError, match="SVDq needs bits of at most 16 parts where K has as many columns"):
        next(steps(random_case(), create("svdq", bits=",".join("4" * 17))))
