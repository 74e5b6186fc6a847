"""Computes the prompt's statistic that H2O starts from, without holding any attention weights."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

from harness.attention.statistics import AttentionReceived, LayerPrompt, Observe, Statistic, observe
from harness.kernels.shared.device import Kernel, fits, is_wanted
from harness.kernels.shared.tiles import power


def attention_received(q: Tensor, k: Tensor, mask: Tensor | None, scale: float, block: int = 64) -> Tensor:
    """Sum what each token receives of causal attention weights over queries, averaged over a group: [B, H, S] float32.

    q [B, H, G, S, D], k [B, H, S, D]; mask [B, S] bool, False at padding, which neither gives nor receives. The
    definition is harness/attention/statistics/received.py.
    """
    from harness.kernels.statistics.triton import log_mass_kernel, received_kernel  # needs Triton

    b, h, group, s, d = q.shape
    live = q.new_empty(1, dtype=torch.int8) if mask is None else mask.to(torch.int8)
    log_mass = torch.empty(b, h, group, s, dtype=torch.float32, device=q.device)
    received = torch.empty(b, h, s, dtype=torch.float32, device=q.device)
    strides = (q.stride(0), q.stride(2) if group > 1 else q.stride(1), q.stride(3), *k.stride()[:3])
    common = {"g": group, "d": d, "width": power(d), "block": block, "padded": mask is not None, "num_warps": 4}
    blocks, binary = -(-s // block), scale * math.log2(math.e)
    log_mass_kernel[(blocks, b * h * group)](q, k, live, log_mass, *strides, h, s, binary, **common)
    received_kernel[(blocks, b * h)](q, k, live, log_mass, received, *strides, h, s, binary, **common)
    return received


def choose_observe(kernel: Kernel, device: torch.device) -> Observe:
    """Return how the engine should gather the prompt's statistics.

    Raises InputError if `kernel` is triton where Triton cannot run.
    """
    return observe_by_kernel if is_wanted(kernel, device) else observe


def observe_by_kernel(statistics: Collection[Statistic], prompt: LayerPrompt) -> dict[Statistic, Tensor]:
    """Gather statistics as harness.attention.statistics.observe, what H2O asks for by kernels where they serve."""
    received = AttentionReceived()
    whole = prompt.mask is None and prompt.window_mask is None
    if received not in statistics or not (whole and fits(prompt.q.shape[-1], prompt.scores.cap is not None)):
        return observe(statistics, prompt)
    found = observe([other for other in statistics if other != received], prompt)
    return {**found, received: attention_received(prompt.q, prompt.k, None, prompt.scores.scale)}
