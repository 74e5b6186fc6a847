"""Computes one decode step of attention by kernels in Triton. Importing this package needs neither Triton nor a GPU.

`KVCache` holds what a step reads; `sparq`, `h2o`, `flexgen`, `oracle_topk`, `lm_infinite`, `attend_to_codes`,
`attend_to_left`, `attend_by_labels`, `attend_to_pages`, `attend_to_chunks`, `attend` and `dense` return the attention
output [B, H, G, D]. Nothing here waits for the GPU, so that every call can be captured in a CUDA graph.
Shape legend: harness/attention/__init__.py; C is the cache's capacity in tokens.
"""

from harness.kernels.append import append, extend
from harness.kernels.binding import KernelBinding, choose_binding, find_binding
from harness.kernels.codes import CodedCache, attend_to_codes
from harness.kernels.h2o import HeavyHitters, h2o
from harness.kernels.labels import attend_by_labels
from harness.kernels.landmarks import attend_to_chunks
from harness.kernels.pages import attend_to_pages
from harness.kernels.prompt_eviction import attend_to_left
from harness.kernels.shared.attend import attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import Kernel, available, fits, require
from harness.kernels.sparq import sparq
from harness.kernels.statistics import attention_received, choose_observe
from harness.kernels.top_weights import flexgen, oracle_topk
from harness.kernels.window import dense, lm_infinite

__all__ = [
    "CodedCache",
    "HeavyHitters",
    "KVCache",
    "Kernel",
    "KernelBinding",
    "append",
    "attend",
    "attend_by_labels",
    "attend_to_chunks",
    "attend_to_codes",
    "attend_to_left",
    "attend_to_pages",
    "attention_received",
    "available",
    "choose_binding",
    "choose_observe",
    "dense",
    "extend",
    "find_binding",
    "fits",
    "flexgen",
    "h2o",
    "lm_infinite",
    "oracle_topk",
    "require",
    "sparq",
]
