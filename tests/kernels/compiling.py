"""Compiles kernels for a Hopper GPU where there is none: what would be launched is compiled, and its name printed.

A program of its own, for Triton decides when it is imported whether kernels are compiled or interpreted.
"""

import sys

import torch
import triton
from triton.backends.compiler import GPUTarget

from harness import kernels, methods
from harness.attention import LayerPrefix, Rope
from harness.attention.survivors import Survivors
from harness.kernels import HeavyHitters, KVCache, choice
from harness.kernels.choice import TokenScores
from harness.kernels.prompt_eviction import Left
from harness.kernels.shared import device
from harness.kernels.sparq import Tiles
from harness.kernels.sparq.tiles import HeadTiles

PREPARED = [
    ("kivi", {"bits": 2}),
    ("int_kv", {"bits": 4, "by": "channel"}),
    ("fp8", {"scale": "prompt"}),
    ("quest", {"token_budget": 1024}),
    ("quest", {"token_budget": 16, "page_size": 10, "keep_last_page": True}),
    ("loki", {"r": 24, "k": 128}),
    ("shadow_kv", {"k": 1024, "rank": 16}),
    ("double_sparsity", {"r": 20, "k": 128}),
    ("double_sparsity", {"r": 16, "k": 128, "label_bits": 16}),
]
"""Methods whose kernels start from what is made of a prompt."""


class Hopper:
    """As much of a driver as compiling asks for."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=0):
        return device

    def get_active_torch_device(self):
        return torch.device("cpu")


def compile_instead(kernel, grid):
    def launch(*arguments, **options):
        kernel.run(*arguments, grid=grid, warmup=True, **options)
        sys.stdout.write(f"{kernel.__name__}\n")

    return launch


def pretend():
    triton.runtime.driver.set_active(Hopper())
    triton.runtime.jit.JITFunction.__getitem__ = compile_instead
    device._found_obstacle = lambda *_: None
    device._can_overlap = lambda _: True


def cache(g, n, dtype, transposed=True):
    """A query and a cache of n tokens for two KV heads, whose contents no kernel reads."""
    k = torch.zeros(1, 2, n, 128, dtype=dtype)  # methods prepare some kernels from it
    ends = torch.zeros(1, dtype=torch.int32)
    kt = torch.empty(1, 2, 128, n, dtype=dtype) if transposed else None
    return torch.empty(1, 2, g, 128, dtype=dtype), KVCache(k, k, kt, torch.empty(1, 2, 128), ends, ends, n)


def every_kernel(g, dtype):
    q, c = cache(g, 8192, dtype)
    once = c.stored_once()
    for k in (128, 4000):  # chosen by groups of neighbours, and among all
        kernels.sparq(q, c, r=32, k=k, tiles=Tiles())
    kernels.sparq(q, c, r=24, k=128, tiles=Tiles(HeadTiles(8192, 8, narrow=False)))
    kernels.sparq(q, c, r=24, k=128, tiles=Tiles(HeadTiles(2048, 4)))
    kernels.sparq(*cache(g, 2000, dtype), r=32, k=128, tiles=Tiles(HeadTiles(2048, 4, 128, fused=True)))
    for together in (False, True):  # chosen digit by digit, in one launch and in six
        choice.can_wait = lambda _, together=together: together
        kernels.flexgen(*cache(g, 9000, dtype, transposed=False), k=4000)
    TokenScores.empty(q, 8192).best(c, 64)
    kernels.sparq(q, once, r=32, k=128, reallocate=False)
    kernels.dense(q, c)
    kernels.lm_infinite(q, c, k=256)
    kernels.flexgen(q, c, k=64)
    kernels.oracle_topk(q, c, k=64)
    kernels.h2o(q, c, HeavyHitters.of(torch.rand(1, 2, 8191)), k=256)
    kernels.append(c, c.k[:, :, 0], c.v[:, :, 0])
    kernels.attention_received(c.k[:, :, None].expand(1, 2, g, 8192, 128), c.k, None, 0.1)
    tail = torch.empty(2, 1, 2, 20, 128, dtype=dtype)
    kernels.extend(tuple(tail[..., :1, :]), tuple(tail), (c.k, c.v), torch.zeros(1, dtype=torch.long))
    every_prompt(q, once)


def every_prompt(q, c):
    live, rope = torch.ones(1, 1, c.longest, dtype=torch.bool), Rope.plain(10_000, 128)
    prefix = LayerPrefix(c.k, c.v, live, decode_steps=8, rope=rope)
    for name, knobs in PREPARED:
        kernels.find_binding(methods.create(name, **knobs)).for_layer(prefix)(q, c, scale=0.1)
    for heads in {1, q.shape[2]}:
        kept = torch.rand(1, 2, heads, c.longest) > 0.5
        kernels.attend_to_left(q, c, Left.of(Survivors(prefix, kept)))


if __name__ == "__main__":
    pretend()
    every_kernel(1, torch.float16)
    every_kernel(4, torch.bfloat16)
