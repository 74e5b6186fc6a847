"""Methods that run with other weights of keys and values, beside others that do not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from support import architectures
from support.engine_runs import engine, generation, scoring

from harness import methods
from harness.attention import Projections
from harness.engine import CalibratingPrompts, Engine, calibrate
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.methods.controls.dense import Dense

WORKS = pytest.mark.parametrize("works", [generation, scoring])
SEPARATE = ["llama", "mistral", "gemma2", "gemma3_text", "qwen2", "qwen3", "opt", "cohere"]
RANKS = {"rank_k": 5, "rank_v": 7}
ALL_RANKS = {"rank_k": 64, "rank_v": 64}


def lorc(**knobs):
    return methods.create("lorc", **{**RANKS, **knobs})


def likelihoods(outputs):
    return [value for output in outputs for value in output.nll]


def truncated(architecture, layers=None):
    """An engine of the same model with weights truncated by hand."""
    model = architectures.model(architecture, dtype=torch.float64)
    for name, weight in model.named_parameters():
        for part, rank in (("k_proj.weight", 5), ("v_proj.weight", 7)):
            if name.endswith(part) and (layers is None or int(name.split("layers.")[1].split(".")[0]) in layers):
                u, s, v = np.linalg.svd(weight.numpy(), full_matrices=False)
                weight.copy_(torch.from_numpy((u[:, :rank] * s[:rank]) @ v[:rank]))
    return Engine(Bridge(model))


@WORKS
@pytest.mark.parametrize(
    "architecture", ["llama", "mistral", "gemma2", "gemma3_text", "qwen2", "qwen3", "opt", "cohere"]
)
def test_the_model_runs_as_one_whose_weights_were_truncated(works, architecture):
    dense = [methods.create("dense")]
    (expected,) = truncated(architecture).run(works(), dense)
    plain, found = engine(architecture).run(works(), [*dense, lorc()])
    assert likelihoods(found) == pytest.approx(likelihoods(expected), abs=1e-5)
    assert likelihoods(found) != pytest.approx(likelihoods(plain), abs=1e-2)
    assert all(output.active for output in found)
    (alone,) = engine(architecture).run(works(), dense)
    assert likelihoods(plain) == likelihoods(alone)


def by_whitened_groups(architecture, prompts, rank):
    """An engine of the same model with weights cut down by hand, KV head by KV head, whitened by what enters them."""
    model = architectures.model(architecture, dtype=torch.float64, attn_implementation="eager")
    seen = dict.fromkeys(range(model.config.num_hidden_layers), 0)
    for tokens in prompts:
        hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
        for i, layer in enumerate(model.model.layers):
            x = layer.input_layernorm(hidden[i])[0].numpy()
            seen[i] = seen[i] + x.T @ x
    for i, layer in enumerate(model.model.layers):
        factor = np.linalg.cholesky(seen[i])
        for linear in (layer.self_attn.k_proj, layer.self_attn.v_proj):
            for head in np.split(linear.weight.numpy(), model.config.num_key_value_heads):
                u = np.linalg.svd(head @ factor)[0][:, :rank]
                head[:] = u @ u.T @ head
    return Engine(Bridge(model))


@WORKS
@pytest.mark.parametrize("architecture", ["llama", "mistral"])
def test_palu_runs_as_a_model_whose_weights_were_cut_down_by_head(works, architecture):
    prompts = architectures.prompts((40, 30, 50), seed=8)
    method = methods.create("palu", rank_k=3, rank_v=3, head_group_size=1, calibration_prompts=2)
    bridge = Bridge(architectures.model(architecture, dtype=torch.float64))
    learnt = calibrate(bridge, [method.calibrator], CalibratingPrompts(tuple(prompts)))
    (expected,) = by_whitened_groups(architecture, prompts[:2], 3).run(works(), [methods.create("dense")])
    (found,) = engine(architecture, calibrations=learnt).run(works(), [method])
    assert likelihoods(found) == pytest.approx(likelihoods(expected), abs=1e-4)
    assert all(output.active for output in found)


@WORKS
def test_quantised_latents_are_attended_to_by_the_prompt_as_well(works):
    knobs = {"rank_k": 64, "rank_v": 64, "whiten": False}
    plain, coarse, late = (
        methods.create("palu", **knobs, **more)
        for more in ({}, {"latent_bits": 3}, {"latent_bits": 3, "own_prefill": False})
    )
    dense, exact, found, later = engine().run(works(), [methods.create("dense"), plain, coarse, late])
    assert likelihoods(exact) == pytest.approx(likelihoods(dense), abs=1e-5)
    for given, whole in zip(found, dense, strict=True):
        assert given.nll[0] != pytest.approx(whole.nll[0], abs=1e-4)  # which the prompt's own attention predicts
    assert [output.nll[0] for output in later] == [output.nll[0] for output in dense]
    assert likelihoods(later) != pytest.approx(likelihoods(dense), abs=1e-3)


def test_layers_that_are_exempt_keep_their_weights():
    (expected,) = truncated("llama", [1]).run(generation(), [methods.create("dense")])
    (found,) = engine().run(generation(), [lorc(dense_layers="0,2")])
    assert likelihoods(found) == pytest.approx(likelihoods(expected), abs=1e-5)
    kinds = architectures.config("gemma3_text").layer_types
    full = [i for i, kind in enumerate(kinds) if "full" in kind]
    (expected,) = truncated("gemma3_text", full).run(generation(), [methods.create("dense")])
    (found,) = engine("gemma3_text").run(generation(), [lorc(layers="full")])
    assert likelihoods(found) == pytest.approx(likelihoods(expected), abs=1e-5)


@pytest.mark.parametrize("knobs", [{"dense_layers": 3}, ALL_RANKS], ids=["exempt", "full_rank"])
def test_weights_that_are_as_before_change_nothing(knobs):
    dense, found = engine().run(generation(), [methods.create("dense"), lorc(**knobs)])
    assert likelihoods(found) == pytest.approx(likelihoods(dense), abs=1e-5)
    assert not any(output.active for output in found)


@dataclass(frozen=True)
class Failing(Dense):
    """A made-up method that doubles the weights, and fails in its first step."""

    own_prefill = True
    needs = frozenset({"weights"})

    def reweigh(self, weights, _learnt):
        return [replace(of, k=of.k * 2) for of in weights]

    def start(self, prefix):
        assert isinstance(prefix.weights, Projections)
        raise ZeroDivisionError


def test_a_run_that_fails_leaves_the_model_with_its_own_weights():
    model = architectures.model("llama", dtype=torch.float64)
    before = dict(model.named_parameters())
    with pytest.raises(ZeroDivisionError):
        Engine(Bridge(model)).run(generation(), [Failing()])
    assert all(parameter is before[name] for name, parameter in model.named_parameters())


def test_weights_are_worked_out_once(monkeypatch):
    asked, reweigh = [], methods.find("lorc").reweigh
    monkeypatch.setattr(methods.find("lorc"), "reweigh", lambda *given: asked.append(1) or reweigh(*given))
    running = engine()
    for _ in range(2):
        running.run(generation(), [lorc(), lorc(own_prefill=False)])
    assert len(asked) == 2


@WORKS
def test_a_cache_that_is_projected_afterwards_shares_the_dense_prefill(works):
    dense, found = engine().run(works(), [methods.create("dense"), lorc(own_prefill=False)])
    assert [output.nll[0] for output in found] == [output.nll[0] for output in dense]
    assert likelihoods(found) != pytest.approx(likelihoods(dense), abs=1e-2)


def test_a_full_rank_cache_of_a_model_with_biases_is_the_dense_one():
    dense, found = engine("qwen2").run(generation(), [methods.create("dense"), lorc(own_prefill=False, **ALL_RANKS)])
    assert likelihoods(found) == pytest.approx(likelihoods(dense), abs=1e-5)


def test_progressive_ranks_are_counted_as_they_came_out():
    method = lorc(rank_min=2)
    (found,) = engine().run(scoring(), [method])
    found_ranks = method.reweigh(Bridge(architectures.model("llama", dtype=torch.float64)).projections())
    ranks = sum(of.k_space.rank + of.v_space.rank for of in found_ranks)
    assert 12 < ranks < 36
    for output, prompt in zip(found, scoring(), strict=True):
        lengths = range(len(prompt.tokens) + 1, len(prompt.tokens) + len(prompt.forced))
        moved, dense = (sum((n + 1) * numbers for n in lengths) for numbers in (ranks, 3 * 2 * 2 * 8))
        assert output.share == (pytest.approx(moved / dense) if lengths else None)


def test_what_a_model_cannot_lend_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="architecture 'gpt_neox' has no weights k_proj and v_proj of its own"):
        engine("gpt_neox").run(generation(), [lorc()])
    with pytest.raises(InputError, match="keys of this model are no plain product: LoRC needs own_prefill=true"):
        engine("qwen3").run(generation(), [lorc(own_prefill=False)])
    with pytest.raises(InputError, match="keys of this model are no plain product: choose another model"):
        engine("qwen3").run(generation(), [methods.create("palu", **RANKS, latent_bits=4, whiten=False)])
    with pytest.raises(InputError, match="fisher_uniform needs gradients, which no run here has: take search=uniform"):
        methods.create("palu", **RANKS, search="fisher_uniform")
