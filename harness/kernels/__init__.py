"""GPU kernels for one decode step of attention, in Triton. Importing this package needs neither Triton nor a GPU.

`KVCache` holds what a step reads; `sparq`, `h2o`, `flexgen`, `oracle_topk`, `lm_infinite`, `attend` and `dense` return
the attention output [B, H, G, D]. Nothing here waits for the GPU, so every call can be captured in a CUDA graph.
Shape legend: harness/attention/__init__.py; C is the cache's capacity in tokens.
"""

from harness.kernels.attend import attend, dense, lm_infinite
from harness.kernels.cache import KVCache
from harness.kernels.h2o import HeavyHitters, h2o
from harness.kernels.received import attention_received
from harness.kernels.require import available, require
from harness.kernels.sparq import sparq
from harness.kernels.tail import extend
from harness.kernels.top_weights import flexgen, oracle_topk

__all__ = [
    "HeavyHitters",
    "KVCache",
    "attend",
    "attention_received",
    "available",
    "dense",
    "extend",
    "flexgen",
    "h2o",
    "lm_infinite",
    "oracle_topk",
    "require",
    "sparq",
]
