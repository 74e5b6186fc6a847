"""Describes a decode step as an attention layer sees it, and holds the arithmetic that the methods share.

Shape legend (used in every docstring of the package):
    B batch rows   H KV heads   G query heads per KV head   D head dimension
    S prompt tokens   N cached tokens, the newest included   K kept tokens   T decode steps

Where what is: `step` and `scores` say what a layer sees and how it scores; `selection`, `best`, `mass` and `sampling`
choose tokens and attend to them; `votes` elects those of a prompt that stay, `survivors` and `slots` list them,
`redundancy` says how alike their keys are; `index` holds what is kept of the keys to choose by, `packed`, `projected`,
`latents`, `quantised` and `codebooks` what stands in for K and V, `thinned` keys without some channels,
`weights` what makes them, `rope`, `unrotated` and `moved` their positions; `prefill` and `antidiagonals` are the
prompt's own attention, of which `statistics` are gathered and from which `calibration` learns.
"""

from harness.attention.best import attend_to_best, best_of
from harness.attention.dense import attend_to_all
from harness.attention.draws import gumbel, uniform
from harness.attention.meter import Meter
from harness.attention.prefill import Attended, LayerPrefill, attend_prompt, in_blocks
from harness.attention.rope import Rope
from harness.attention.scores import Scores, softmax
from harness.attention.selection import (
    MeanValue,
    age,
    are_best,
    attend_own,
    attend_to,
    attend_where,
    columns_of,
    ends,
    gather_mask,
    gather_tokens,
    own_columns,
    top_newest,
)
from harness.attention.slots import Slots
from harness.attention.step import LayerPrefix, LayerShape, Step
from harness.attention.weights import Projections

__all__ = [
    "Attended",
    "LayerPrefill",
    "LayerPrefix",
    "LayerShape",
    "MeanValue",
    "Meter",
    "Projections",
    "Rope",
    "Scores",
    "Slots",
    "Step",
    "age",
    "are_best",
    "attend_own",
    "attend_prompt",
    "attend_to",
    "attend_to_all",
    "attend_to_best",
    "attend_where",
    "best_of",
    "columns_of",
    "ends",
    "gather_mask",
    "gather_tokens",
    "gumbel",
    "in_blocks",
    "own_columns",
    "softmax",
    "top_newest",
    "uniform",
]
