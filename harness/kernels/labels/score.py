"""Scores rows of an index by their products with one query per KV head."""

from __future__ import annotations

from torch import Tensor

from harness.kernels.choice import Ends, TokenScores
from harness.kernels.labels.tiles import LabelTiles, label_tiles
from harness.kernels.shared.device import overlap, processors
from harness.kernels.shared.tiles import power


def score_rows(
    query: Tensor, rows: Tensor, ends: Ends, longest: int, window: int = 0, tiles: LabelTiles | None = None
) -> TokenScores:
    """Multiply rows [B, H, C, r] with a query [B, H, r] float32; at most `longest` rows of C are filled.

    Those older than the newest `window` may be chosen by the scores.
    """
    from harness.kernels.labels.triton.score import score_labels_kernel  # needs Triton

    b, h, room, r = rows.shape
    scores, width = TokenScores.empty(query, longest, window), power(r)
    tiles = tiles or label_tiles(b * h, longest, width, scores.of, processors(query.device))
    score_labels_kernel[(b * h * tiles.parts,)](
        query, rows, ends.padding, ends.kv_lengths, scores.score, scores.largest, h, tiles.parts, room, longest,
        scores.groups, tiles.per_part, window, r=r, width=width, block=tiles.block, of=scores.of, stages=tiles.stages,
        num_warps=tiles.warps, **overlap(query.device),
    )  # fmt: skip
    return scores
