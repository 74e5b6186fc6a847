"""Makes the calls that are timed: dense attention by every SDPA backend, the methods by PyTorch or by the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from harness import methods
from harness.attention import LayerPrefix, Projections, Rope, Step
from harness.attention.compressor import Compress, Compressed
from harness.attention.scores import Scores
from harness.attention.statistics import LayerPrompt
from harness.bench.timing import Call
from harness.errors import InputError
from harness.kernels import KVCache, find_binding
from harness.methods import Method

SHORTEST = 3
"""Cached tokens of the shortest step: a prompt of one, a step after which the method's state is the usual, the step."""
BY_KERNEL, BY_TORCH = 1, 2
"""Steps after the prompt, of which the last is timed; kernels repeat their first step where torch takes another."""


@dataclass(frozen=True)
class Buffers:
    """Holds one set of inputs: q [B, H, G, D] and a full cache of S tokens."""

    q: Tensor
    cache: KVCache

    @property
    def step(self) -> Step:
        """Return the step that reads all of the cache, at the usual softmax scale."""
        return self.step_with(Scores(self.q.shape[3] ** -0.5))

    def step_with(self, scores: Scores) -> Step:
        """Return the step that reads all of the cache, none of which is padding."""
        n = self.cache.longest
        mask = torch.ones(self.q.shape[0], 1, n, dtype=torch.bool, device=self.q.device)
        return Step(self.q, self.cache.k[:, :, :n], self.cache.v[:, :, :n], mask, scores)


@dataclass(frozen=True)
class Layout:
    """Describes what is measured: batch rows, S cached tokens, query heads, KV heads, head dimension, element type.

    Raises InputError for sizes that no step can have.
    """

    batch: int
    s: int
    heads: int
    kv_heads: int
    d: int
    dtype: torch.dtype

    def __post_init__(self) -> None:
        for axis, least in {"batch": 1, "s": SHORTEST, "heads": 1, "kv_heads": 1, "d": 1}.items():
            if getattr(self, axis) < least:
                raise InputError(f"{axis} must be at least {least}, not {getattr(self, axis)}")
        if self.heads % self.kv_heads:
            raise InputError(f"{self.heads} query heads cannot share {self.kv_heads} KV heads evenly")

    def buffers(self, device: torch.device) -> Buffers:
        """Make fresh random inputs."""
        b, h = self.batch, self.kv_heads
        k, v = torch.randn(2, b, h, self.s, self.d, dtype=self.dtype, device=device)
        q = torch.randn(b, h, self.heads // h, self.d, dtype=self.dtype, device=device)
        return Buffers(q, KVCache.of(k, v))


Make = Callable[[Buffers], Call]


def dense_paths(layout: Layout) -> dict[str, Make]:
    """Return what makes a call of every SDPA backend by its name; a backend may refuse when it is called.

    With groups, each also takes the group as the query's length ("packed").
    """
    paths: dict[str, Make] = {}
    for name, backend in SDPBackend.__members__.items():
        if name in {"ERROR", "OVERRIDEABLE"}:
            continue
        label = f"sdpa {name.removesuffix('_ATTENTION').lower()}"
        paths[label] = _sdpa(backend, packed=False)
        if layout.heads > layout.kv_heads:
            paths[f"{label} packed"] = _sdpa(backend, packed=True)
    return paths


def _sdpa(backend: SDPBackend, packed: bool) -> Make:
    def make(x: Buffers) -> Call:
        b, h, g, d = x.q.shape
        step = x.step
        q = x.q if packed else x.q.view(b, h * g, 1, d)

        def call() -> Tensor:
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(q, step.k, step.v, enable_gqa=g > 1 and not packed)

        return call

    return make


def method_call(name: str, x: Buffers, kernel: str, /, **knobs: Any) -> Call:
    """Make a decode step of a method by kernel 'torch' or 'triton'. Raises InputError for a method without a kernel."""
    method = methods.create(name, **knobs)
    if kernel == "torch":
        step = x.step
        call = repeated(method, step)
        return lambda: call(step)
    binding = find_binding(method)
    if binding is None:
        raise InputError(f"{name} with these knobs has no kernel: choose kernel=torch")
    attend = binding.for_layer(prompt_of(method, x.step, BY_KERNEL))
    scale = x.step.scores.scale
    attend(x.q, x.cache, scale=scale)  # the first step after a prompt may do more than the following ones
    return lambda: attend(x.q, x.cache, scale=scale)


def prompt_of(method: Method[Any], step: Step, decoded: int, layer: int = 0) -> LayerPrefix:
    """Return all but the last `decoded` tokens of a step as a prompt, whose statistics are random but reproducible."""
    s = step.length - decoded
    k, v = step.k[:, :, :s], step.v[:, :, :s]
    generator = torch.Generator(k.device).manual_seed(layer)
    rope = Rope.plain(10_000, k.shape[3])
    known: dict[str, Any] = {"rope": rope, "inputs": k.transpose(1, 2).flatten(2)}
    prompt = LayerPrompt(step.q[:, :, :, None].expand(-1, -1, -1, s, -1), k, None, step.scores, **known)
    begun = {statistic: statistic.begin(prompt) for statistic in sorted(method.observes, key=repr)}
    drawn = {name: torch.rand(of.shape, generator=generator, device=k.device) for name, of in begun.items()}
    statistics = {name: of > 0.5 if begun[name].dtype == torch.bool else of for name, of in drawn.items()}
    if method.calibrator is not None:
        raise InputError(f"{type(method).__name__} learns from prompts, of which there are none here: use other knobs")
    weights = reweighed(method, k, layer)
    mask, compress = step.mask[..., :s], compressing(method)
    return LayerPrefix(k, v, mask, decoded, layer, 1, statistics, rope, weights=weights, compress=compress)


def compressing(method: Method[Any]) -> Compress | None:
    """Return a compression that keeps the newest tokens, as many as the method's own would; None if it has none."""
    if method.compressor is None:
        return None
    left = 1 - method.compressor.ratio

    def compress(_: Tensor, k: Tensor, v: Tensor, __: Rope) -> Compressed:
        kept = max(1, int(k.shape[2] * left))
        return Compressed(k[:, :, -kept:], v[:, :, -kept:])

    return compress


def reweighed(method: Method[Any], k: Tensor, layer: int) -> Projections | None:
    """Return what a method makes of random weights of a layer with keys k [B, H, S, D]; None if it needs none."""
    if "weights" not in method.needs:
        return None
    size, generator = k.shape[1] * k.shape[3], torch.Generator().manual_seed(layer)
    return method.reweigh([Projections(*torch.randn(2, size, size, generator=generator).to(k))])[0]


def repeated(method: Method[Any], step: Step, layer: int = 0) -> Callable[[Step], Tensor]:
    """Return a step that can be timed again and again: each starts from the state that the step before left.

    What only the first step after a prompt does, such as H2O's eviction of most of it, is not timed. A state's copy
    shares its tensors, which would take longer to copy than to use: one that the step writes to goes on.
    """
    state = method.start(prompt_of(method, step, BY_TORCH, layer))
    mask = step.mask[..., :-1]
    method.attend(Step(step.q, step.k[:, :, :-1], step.v[:, :, :-1], mask, step.scores), state)
    shared = {id(tensor): tensor for tensor in _tensors_of(state)}
    return lambda again: method.attend(again, deepcopy(state, dict(shared)))


def _tensors_of(state: Any) -> Iterator[Tensor]:
    """List the tensors that a state holds, however deep."""
    if isinstance(state, Tensor):
        yield state
        return
    inner = state if isinstance(state, dict | list | tuple | set) else getattr(state, "__dict__", ())
    for part in inner.values() if isinstance(inner, dict) else inner:
        yield from _tensors_of(part)
