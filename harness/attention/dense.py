"""Attends to every token that a step sees."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from harness.attention.scores import softmax
from harness.attention.step import Step


def attend_to_all(step: Step) -> Tensor:
    """Compute softmax(qK'/sqrt(D)) V over all live tokens, [B, H, G, D].

    One fused call; written out where the architecture caps its logits, which SDPA cannot.
    """
    if step.scores.cap is None:
        mask = step.mask[:, :, None]
        return scaled_dot_product_attention(step.q, step.k, step.v, mask, scale=step.scores.scale)
    weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
    return weights.to(step.v.dtype) @ step.v
