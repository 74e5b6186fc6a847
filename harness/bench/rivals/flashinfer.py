"""Times FlashInfer (Ye et al., MLSys 2025, arXiv 2501.01005) by the package flashinfer-python.

A single row is decoded from the cache as it lies (layout HND); several from pages of 16 tokens, which are copied from
the cache beforehand. Both are timed with the library's CUDA cores and with its tensor cores.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.bench.cases import Buffers
from harness.bench.rivals.base import Rival

PAGE = 16
"""Tokens of a page."""
WORKSPACE = 128 << 20
"""Bytes of scratch memory that the library's documentation recommends."""


def paged(rows: Tensor) -> Tensor:
    """Copy [B, H, N, D] to pages [B * ceil(N / PAGE), H, PAGE, D], a row's one after another, the last one padded."""
    b, h, n, d = rows.shape
    pages = -(-n // PAGE)
    whole = pad(rows, (0, 0, 0, pages * PAGE - n)).view(b, h, pages, PAGE, d)
    return whole.transpose(1, 2).reshape(b * pages, h, PAGE, d)


def _call(x: Buffers, tensor_cores: bool) -> Callable[[], object]:
    return (_single if x.q.shape[0] == 1 else _batch)(x, tensor_cores)


def _single(x: Buffers, tensor_cores: bool) -> Callable[[], object]:
    from flashinfer import single_decode_with_kv_cache

    step = x.step
    q, k, v = step.q[0].flatten(0, 1), step.k[0].contiguous(), step.v[0].contiguous()
    options = {"kv_layout": "HND", "use_tensor_cores": tensor_cores, "sm_scale": step.scores.scale}
    return lambda: single_decode_with_kv_cache(q, k, v, **options)


def _batch(x: Buffers, tensor_cores: bool) -> Callable[[], object]:
    from flashinfer import BatchDecodeWithPagedKVCacheWrapper

    step = x.step
    (b, h, g, d), n = step.q.shape, step.length
    q, cache = step.q.flatten(1, 2), (paged(step.k), paged(step.v))
    pages = -(-n // PAGE)
    first = torch.arange(b + 1, dtype=torch.int32, device=q.device) * pages
    order = torch.arange(b * pages, dtype=torch.int32, device=q.device)
    filled = torch.full((b,), (n - 1) % PAGE + 1, dtype=torch.int32, device=q.device)
    wrapper = BatchDecodeWithPagedKVCacheWrapper(
        torch.zeros(WORKSPACE, dtype=torch.uint8, device=q.device),
        kv_layout="HND",
        use_cuda_graph=True,
        use_tensor_cores=tensor_cores,
        paged_kv_indptr_buffer=torch.empty_like(first),
        paged_kv_indices_buffer=torch.empty_like(order),
        paged_kv_last_page_len_buffer=torch.empty_like(filled),
    )
    types = {"q_data_type": q.dtype, "kv_data_type": q.dtype}
    wrapper.plan(first, order, filled, h * g, h, d, PAGE, sm_scale=step.scores.scale, **types)
    return lambda: wrapper.run(q, cache)


RIVAL = Rival(
    "flashinfer",
    {"flashinfer": lambda x: _call(x, False), "flashinfer tensor cores": lambda x: _call(x, True)},
    module="flashinfer",
    package="flashinfer-python",
)
