"""Calibrators learn from dense prefills of the first prompts, and methods find what they learnt of their layer."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from support import architectures
from support.engine_runs import engine, generation, ropes

from harness.attention.calibration import Calibrator, ChannelMagnitude, unrotated
from harness.engine import CalibratingPrompts, Engine, Prompt, calibrate
from harness.errors import InputError
from harness.hf import Bridge
from harness.methods import create
from harness.methods.controls.dense import Dense

PROMPTS = CalibratingPrompts(tuple(architectures.prompts()))


def bridge(architecture="llama"):
    return Bridge(architectures.model(architecture, dtype=torch.float64))


@dataclass(frozen=True)
class Seen(Calibrator):
    """Keeps what it is shown."""

    def fold(self, so_far, prompt):
        return [*(so_far or []), prompt]

    def finish(self, found):
        return found


@dataclass(frozen=True)
class Learning(Dense):
    """Dense attention that notes what it learnt of each layer."""

    is_dense: ClassVar[bool] = False
    calibrator = Seen(2)

    def start(self, prefix):
        prefix.shared.setdefault("learnt", []).append((prefix.layer, prefix.calibration))
        LEARNT.append((prefix.layer, prefix.calibration))


LEARNT = []


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma2"])
def test_a_calibrator_sees_what_the_prefill_of_each_first_prompt_computes_in_each_layer(architecture):
    found = calibrate(bridge(architecture), [Seen(2)], PROMPTS, ropes(architecture))[Seen(2)]
    looking = []

    @dataclass(frozen=True)
    class Looking(Dense):
        def start(self, prefix):
            looking.append((prefix.layer, prefix.k[0], prefix.v[0]))

    for i, tokens in enumerate(PROMPTS.first(2)):
        looking.clear()
        engine(architecture).run([Prompt(tokens, new_tokens=2)], [Looking()])
        assert [layer for layer, _, _ in looking] == list(range(len(found)))
        for layer, k, v in looking:
            prompt = found[layer][i]
            assert (prompt.layer, prompt.q.shape[3]) == (layer, len(tokens))
            torch.testing.assert_close(prompt.k[0], k, atol=1e-12, rtol=0)
            torch.testing.assert_close(prompt.v[0], v, atol=1e-12, rtol=0)
    assert all(len(of_layer) == 2 for of_layer in found)


def test_a_method_finds_what_was_learnt_of_its_layer_and_cells_that_learn_the_same_share_it():
    learnt = calibrate(bridge(), [Seen(2), Seen(2), Seen(1)], PROMPTS)
    assert set(learnt) == {Seen(2), Seen(1)}
    LEARNT.clear()
    Engine(bridge(), calibrations=learnt).run(generation(), [Learning(), Dense()])
    assert list(enumerate(learnt[Seen(2)])) == LEARNT


def test_a_method_that_learnt_nothing_is_refused():
    with pytest.raises(InputError, match="Learning learns from a task's prompts beforehand, and there are none here"):
        engine().run(generation(), [Learning()])
    with pytest.raises(InputError, match="there is none"):
        calibrate(bridge(), [Seen(2)], CalibratingPrompts(()))
    assert calibrate(bridge(), [], CalibratingPrompts(())) == {}


def test_fewer_prompts_than_wanted_are_all_of_them():
    (found,) = calibrate(bridge(), [Seen(99)], PROMPTS).values()
    assert [len(of_layer) for of_layer in found] == [len(PROMPTS.prompts)] * len(found)
    assert PROMPTS.name(99) == PROMPTS.name(len(PROMPTS.prompts))


def test_prompts_are_named_by_their_number_and_tokens():
    names = {
        CalibratingPrompts(((1, 2), (3,))).name(2),
        CalibratingPrompts(((1,), (2, 3))).name(2),
        CalibratingPrompts(((3,), (1, 2))).name(2),
        CalibratingPrompts(((1, 2), (3,))).name(1),
    }
    assert len(names) == 4
    assert CalibratingPrompts(((1, 2), (3,), (4,))).name(2) == CalibratingPrompts(((1, 2), (3,))).name(2)
    assert CalibratingPrompts(((1, 2), (3,))).name(2).startswith("2 prompts ")


def test_rotation_is_undone_where_a_calibrator_asks_for_it():
    (shown,) = calibrate(bridge(), [Seen(1)], PROMPTS, ropes("llama")).values()
    (of_layer,) = shown[1]
    bare = unrotated(of_layer, of_layer.k)
    torch.testing.assert_close(bare[:, :, 0], of_layer.k[:, :, 0])
    positions = torch.arange(bare.shape[2])
    torch.testing.assert_close(ropes("llama")[1].rotate(bare, positions), of_layer.k)
    with pytest.raises(InputError, match="layer 0 has no rotary embedding that could be undone"):
        calibrate(bridge(), [ChannelMagnitude(1, "k")], PROMPTS)


def test_magnitudes_are_means_over_all_tokens_of_all_prompts():
    seen, q, k, qk = Seen(2), *(ChannelMagnitude(2, of) for of in ("q", "k", "qk"))
    learnt = calibrate(bridge(), [seen, q, k, qk], PROMPTS, ropes("llama"))
    for layer, prompts in enumerate(learnt[seen]):
        rotated = [(prompt.q[0], prompt.k[0]) for prompt in prompts]
        bare = [(unrotated(prompt, prompt.q)[0], unrotated(prompt, prompt.k)[0]) for prompt in prompts]
        tokens = torch.cat([x for x, _ in bare], 2), torch.cat([x for _, x in bare], 1)
        torch.testing.assert_close(learnt[q][layer], tokens[0].abs().mean(2))
        torch.testing.assert_close(learnt[k][layer], tokens[1].abs().mean(1)[:, None])
        products = torch.cat([(a * b[:, None]).abs() for a, b in rotated], 2)
        torch.testing.assert_close(learnt[qk][layer], products.mean(2))


@pytest.mark.parametrize("channels", ["q", "k", "qk"])
def test_double_sparsity_decodes_from_its_calibration(channels):
    method = create("double_sparsity", r=2, k=6, channels=channels, dense_layers=0, label_bits=16)
    learnt = calibrate(bridge(), [method.calibrator], PROMPTS, ropes("llama"))
    calibrated = engine(calibrations=learnt)
    small, dense = calibrated.run(generation(), [method, Dense()])
    assert any(output.active for output in small) and not any(output.active for output in dense)
