"""Gathers statistics of the dense prefill that some methods start from: frozen objects, listed by `observes`.

Each is a small class in a page of this package; `observe` walks the prompt once for all that are wanted.
"""

from harness.attention.statistics.blocks import BLOCK, Block, LayerPrompt
from harness.attention.statistics.gumbel import GumbelReceived
from harness.attention.statistics.history import BelowEven, LastPivotal, next_largest, pivotal_counts, times_noted
from harness.attention.statistics.inputs import LayerInputs
from harness.attention.statistics.largest import LargestWeight
from harness.attention.statistics.last_used import LastUsed, used
from harness.attention.statistics.moments import QueryMoments
from harness.attention.statistics.queries import LastQueries, QueryKeyMagnitude, QuerySquare
from harness.attention.statistics.received import (
    AttentionReceived,
    ReceivedFromLast,
    ReceivedFromProbes,
    ReceivedWithin,
)
from harness.attention.statistics.walk import Observe, Statistic, observe

__all__ = [
    "BLOCK",
    "AttentionReceived",
    "BelowEven",
    "Block",
    "GumbelReceived",
    "LargestWeight",
    "LastPivotal",
    "LastQueries",
    "LastUsed",
    "LayerInputs",
    "LayerPrompt",
    "Observe",
    "QueryKeyMagnitude",
    "QueryMoments",
    "QuerySquare",
    "ReceivedFromLast",
    "ReceivedFromProbes",
    "ReceivedWithin",
    "Statistic",
    "next_largest",
    "observe",
    "pivotal_counts",
    "times_noted",
    "used",
]
