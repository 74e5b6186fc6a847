"""Methods that compute the prompt's attention themselves, beside the others that share the dense prefill."""

import pytest
from support import architectures
from support.engine_runs import engine, generation, scoring

from harness import methods
from harness.engine import Prompt
from harness.methods.controls.dense import Dense

SPARSE = {"threshold": 0.3, "stride": 2, "block_size": 4}
WORKS = pytest.mark.parametrize("works", [generation, scoring])


class Foreseeing(Dense):
    """A made-up prefill that is dense, and notes the layers that asked for it."""

    own_prefill = True

    def prefill(self, prompt):
        asked.append((prompt.layer, tuple(prompt.k.shape), prompt.live.sum(-1).tolist(), prompt.rope is not None))
        return super().prefill(prompt)


asked = []


def likelihoods(outputs):
    return [value for output in outputs for value in output.nll]


@WORKS
@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma2", "gpt_neox"])
def test_a_prefill_that_leaves_nothing_out_is_the_dense_one(works, architecture):
    whole = methods.create("x_attention", **{**SPARSE, "threshold": 1.1})
    dense, own = engine(architecture).run(works(), [methods.create("dense"), whole])
    assert likelihoods(own) == pytest.approx(likelihoods(dense), abs=1e-9)
    assert [output.density for output in own] == [1, 1, 1]
    assert not any(output.active for output in own)
    assert [output.density for output in dense] == [None, None, None]


@WORKS
def test_a_prefill_that_leaves_pairs_out_says_how_many_and_changes_every_token(works):
    dense, own = engine().run(works(), [methods.create("dense"), methods.create("x_attention", **SPARSE)])
    assert all(0.1 < output.density < 0.95 for output in own[:2])
    assert all(output.active for output in own[:2])
    assert own[0].nll[0] != pytest.approx(dense[0].nll[0], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "more"),
    [("streaming_llm", {}), ("streaming", {}), ("window", {}), ("lm_infinite", {"initial": 4, "ceiling": "local"})],
)
def test_under_a_masked_prefill_it_does_not_matter_where_a_prompt_ends(name, more):
    (text, *_), method = architectures.prompts((21,)), methods.create(name, k=9, mask_prefill=True, **more)
    early, late = (Prompt(tuple(text[:end]), forced=tuple(text[end:])) for end in (12, 17))
    ((first, second),) = engine().run([early, late], [method])
    assert first.nll[5:] == pytest.approx(second.nll, abs=1e-6)
    assert second.density < first.density < 1


def test_pairs_of_exempt_layers_are_computed():
    every, one = engine().run(
        generation(),
        [methods.create("x_attention", **SPARSE, dense_layers=layers) for layers in (0, "0,2")],
    )
    assert one[0].density > (2 + every[0].density) / 3 - 0.2
    (none,) = engine().run(generation(), [methods.create("x_attention", **SPARSE, dense_layers=3)])
    assert [(output.density, output.active) for output in none] == [(None, False)] * 3


def test_each_layer_hands_over_left_aligned_prompts_pass_by_pass():
    asked.clear()
    (found,) = engine(prefill_tokens=50).run(generation(), [Foreseeing()])
    assert asked[:3] == [(layer, (2, 2, 21, 8), [21, 13], True) for layer in range(3)]
    assert asked[3:] == [(layer, (1, 2, 4, 8), [4], True) for layer in range(3)]
    (dense,) = engine(prefill_tokens=50).run(generation(), [methods.create("dense")])
    assert likelihoods(found) == likelihoods(dense)


def test_a_method_that_learnt_of_a_layer_is_handed_that_in_its_prefill():
    class Learning(Dense):
        own_prefill, calibrator = True, "what it learns"

        def prefill(self, prompt):
            seen.append(prompt.calibration)
            return super().prefill(prompt)

    seen, method = [], Learning()
    engine(calibrations={Learning.calibrator: ["a", "b", "c"]}).run(generation(), [method])
    assert seen == ["a", "b", "c"]
