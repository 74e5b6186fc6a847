"""Helpers of several tests: random decode cases, knob settings of every method, tiny models."""

from dataclasses import dataclass

import pytest
import torch
from definitions import defined
from torch.utils._pytree import tree_map

from harness import methods
from harness.attention import LayerPrefix, LayerShape, Rope, Step
from harness.attention.scores import Scores
from harness.attention.statistics import LayerPrompt, observe
from harness.methods import Budget, decode
from harness.store.records import Record

KNOBS = {name: file.KNOBS for name, file in defined().items()}
"""A small budget of each method, from tests/methods/definitions/NAME.py."""
VARIANTS = [
    *KNOBS.items(),
    *((name, knobs) for name, file in defined().items() for knobs in getattr(file, "VARIANTS", [])),
]
"""These and further settings: what every law is held against, as (method, knobs)."""


ALL = {"r": 8, "k": 100}
"""More channels and tokens than a test's case has."""


def label(value):
    """Name of a parametrised (method, knobs)."""
    name, knobs = value
    switches = [k if v else f"no_{k}" for k, v in knobs.items() if isinstance(v, bool)]
    return "-".join([name, *switches])


def each_method(variants=tuple(VARIANTS)):
    """Parametrise a law over (name, knobs, layer): every variant, at the first layer and at a later one, or at LAYERS.

    A method whose file excuses it from the law, which is named like the test, is skipped with the reason given there.
    """

    def decorate(law):
        cases = [(*v, layer) for v in variants for layer in getattr(defined()[v[0]], "LAYERS", (0, 3))]
        reasons = [methods.find(name).excused.get(law.__name__.removeprefix("test_")) for name, _, _ in cases]
        marked = [
            pytest.param(*case, id=f"{label(case[:2])}-layer_{case[2]}", marks=[pytest.mark.skip(why)] if why else [])
            for case, why in zip(cases, reasons, strict=True)
        ]
        return pytest.mark.parametrize(("name", "knobs", "layer"), marked)(law)

    return decorate


def full(name, knobs):
    """Knobs with which a method drops nothing: those that its definition calls FULL, or all channels and tokens."""
    return {**knobs, **full_of(name, knobs, {knob: v for knob, v in ALL.items() if knob in knobs})}


def full_of(name, knobs, otherwise):
    """What its definition calls FULL, which may depend on the other knobs."""
    found = getattr(defined()[name], "FULL", otherwise)
    return found(knobs) if callable(found) else found


def all_of(method):
    """The same method with knobs that drop nothing, in models with heads of up to 64 channels and 256 positions."""
    name = type(method).__module__.rpartition(".")[2]
    known = methods.knobs(type(method))
    more = full_of(name, methods.settings(method), {})
    more = more if callable(getattr(defined()[name], "FULL", None)) else {"r": 64, "k": 256, **more}
    return methods.create(name, **{**methods.settings(method), **{k: v for k, v in more.items() if k in known}})


def layers_of(layer):
    """How many layers the model of a test has that looks at the layer of this number: one more follows."""
    return layer + 2


def place_of(method, case, layer=0, scores=None, sliding_window=None):
    """What a layer hands to a method besides its cache, where the method needs it, as `decode` takes it.

    A method whose layers share something has run in those BELOW, on the same tensors.
    """
    needs, found = method.needs, {"layer": layer, "layers": layers_of(layer)}
    below = getattr(defined().get(type(method).__module__.rpartition(".")[2]), "BELOW", None)
    if below is not None:
        found["shared"] = {}
        for lower in range(below, layer):
            place = {**found, "layer": lower}
            for step, state in steps(case, method, scores, sliding_window, place=place):
                method.attend(step, state)
    if "rope" in needs:
        found["rope"] = Rope.plain(10_000, case.q.shape[-1])
    if "calibration" in needs:
        made = defined()[type(method).__module__.rpartition(".")[2]].calibration(method, case)
        found["calibration"] = tree_map(lambda x: x.to(case.k.device), made)
    if "weights" in needs:
        weights = defined()[type(method).__module__.rpartition(".")[2]].weights(method, case)
        learnt = [found["calibration"]] * len(weights) if "calibration" in found else []
        found["weights"] = method.reweigh(weights, learnt)[layer]
    if "compress" in needs:
        found["compress"] = defined()[type(method).__module__.rpartition(".")[2]].compress(method)
    if method.reads_inputs:
        found["inputs"] = case.k[:, :, : case.p].transpose(1, 2).flatten(2)
    return found


def run(name, knobs, case, layer=0, scores=None):
    """The outputs [B, Hq, T, D] of a method's decode steps."""
    method = methods.create(name, **knobs)
    return decode(method, *case, scores, **place_of(method, case, layer, scores))


@dataclass
class Case:
    """Tensors of a few decode steps: q [B, Hq, P+T, D], k and v [B, H, P+T, D], mask [B, P+T], P prompt tokens."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    mask: torch.Tensor
    p: int

    def __iter__(self):
        return iter((self.q, self.k, self.v, self.mask, self.p))


def random_case(pads=(0, 4), h=2, g=3, p=18, t=4, d=8, seed=0, dtype=torch.float64):
    """A case with rows that are left-padded by `pads` tokens."""
    make = torch.Generator().manual_seed(seed)
    n, b = p + t, len(pads)
    q = torch.randn(b, h * g, n, d, generator=make, dtype=torch.float64).to(dtype)
    k, v = (torch.randn(b, h, n, d, generator=make, dtype=torch.float64).to(dtype) for _ in range(2))
    mask = torch.arange(n) >= torch.tensor(pads)[:, None]
    return Case(q, k, v, mask, p)


def steps(case, method, scores=None, sliding_window=None, layer=0, place=None):
    """(step, state) of each decode step of one case, the state carried along; for tests that look inside."""
    q, k, v, mask, p = case
    b, hq, total, d = q.shape
    h = k.shape[1]
    grouped = q.view(b, h, hq // h, total, d)
    scores = scores or Scores(d**-0.5)
    of_heads = mask[:, None]
    near = torch.ones(p, p, dtype=torch.bool, device=q.device).tril()
    near = None if sliding_window is None else near.triu(1 - sliding_window)[None, None]
    place = place or place_of(method, case, layer, scores, sliding_window)
    known = {name: place[name] for name in ("layer", "rope", "inputs") if name in place}
    place = {name: value for name, value in place.items() if name != "inputs"}
    statistics = observe(
        method.observes, LayerPrompt(grouped[:, :, :, :p], k[:, :, :p], mask[:, :p], scores, near, **known)
    )
    prompt = k[:, :, :p], v[:, :, :p], of_heads[..., :p]
    in_sight = None if sliding_window is None else torch.arange(p, device=q.device) > p - sliding_window
    seen = None if in_sight is None else prompt[2] & in_sight
    prefix = LayerPrefix(*prompt, total - p, statistics=statistics, seen=seen, **place)
    state = method.start(prefix)
    for n in range(p + 1, total + 1):
        seen = of_heads[..., :n]
        if sliding_window is not None:
            seen = seen & (torch.arange(n, device=seen.device) > n - 1 - sliding_window)
        yield Step(grouped[:, :, :, n - 1], k[:, :, :n], v[:, :, :n], seen, scores, sliding_window is not None), state


def close(found, expected, tolerance=1e-11):
    """Fail unless two tensors agree."""
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def one_layer(ratio, n, d):
    """The budget of a ratio in a model of one layer with one KV head, which sees all n tokens."""
    return Budget(ratio, n, (LayerShape(1, d),))


def record(unit="u", cell="c", tokens=(1, 2), nll=None, **more):
    """A record of one unit under one cell; of tokens each is twice as likely as the one before."""
    nll = [0.5 / 2**i for i in range(len(tokens))] if nll is None else nll
    common = {"example": "e", "greedy": True, "active": True, "seconds": 0.5, "prompt_tokens": 10}
    return Record(unit=unit, cell=cell, tokens=list(tokens), nll=list(nll), **{**common, **more})
