"""Presses of kvpress that can be run, and the method that runs one."""

import importlib.util
from types import SimpleNamespace

import pytest

from harness import methods
from harness.attention.compressor import Compressor
from harness.hf import kvpress_package
from harness.hf.press_trial import press_refusal
from support import architectures
from support.engine_runs import ropes

INSTALLED = importlib.util.find_spec("kvpress") is not None
kvpress = pytest.mark.skipif(not INSTALLED, reason=f"no kvpress: {kvpress_package.INSTALL}")
SINGLE = """CURPress CapPress CompactorPress ExpectedAttentionPress KeyDiffPress KnormPress LagKVPress
LeverageScorePress NonCausalAttnPress PyramidKVPress RandomPress SnapKVPress StreamingLLMPress TOVAPress""".split()
WRAPPING = """AdaKVPress BlockPress ChunkKVPress ChunkPress CriticalAdaKVPress CriticalKVPress EntropyGatedChunkKVPress
KeyRerotationPress MergingPress""".split()
PRESSES = [*SINGLE, *(f"{name}/SnapKVPress" for name in WRAPPING)]


def method(press, ratio=0.5, **more):
    """The method that runs a press."""
    return methods.create("kvpress", press=press, ratio=ratio, **more)


def refusal(press, kind="llama", ratio=0.5, options=""):
    """Why a press cannot be run on a model of an architecture; None if it can."""
    config = architectures.config(kind)
    heads = [SimpleNamespace(head_dim=rope.width if rope else 8) for rope in ropes(kind)]
    return press_refusal(Compressor(press, ratio, options), config, ropes(kind), heads)
