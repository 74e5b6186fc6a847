"""Gathers the second moments of the hidden states that enter attention, by which Palu weighs directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention.calibration.base import Calibrator
from harness.attention.prefill import LayerPrefill

LEAST = 1e-3
"""Smallest eigenvalue that is left where one is not positive."""


@dataclass(frozen=True)
class InputMoment(Calibrator[Tensor]):
    """Finds the lower Cholesky factor [E, E] of the sum of x x' over the hidden states x of all tokens of all prompts.

    In float64 and at last on the CPU. Source: Palu (arXiv 2407.21118), appendix on whitening, after SVD-LLM.
    """

    reads_inputs: ClassVar[bool] = True

    def fold(self, so_far: Tensor | None, prompt: LayerPrefill) -> Tensor:
        """Add a prompt's products."""
        assert prompt.inputs is not None
        x = prompt.inputs[0].double()
        return x.mT @ x if so_far is None else so_far + x.mT @ x

    def finish(self, found: Tensor) -> Tensor:
        """Decompose the sum, lifted to a smallest eigenvalue of 0.001 where it is not positive definite."""
        moment = found.cpu()
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(moment)
        if failed:
            lift = LEAST - torch.linalg.eigvalsh(moment)[0]
            factor = torch.linalg.cholesky(moment + lift * torch.eye(len(moment), dtype=moment.dtype))
        return factor
