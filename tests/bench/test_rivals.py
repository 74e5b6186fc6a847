"""Kernels of others are timed beside ours, each with its error; what is not installed has a line that says so."""

import importlib.metadata
import importlib.util
import sys
from textwrap import dedent

import pandas as pd
import pytest
import torch

from harness.__main__ import main
from harness.bench.attention import bench_attention
from harness.bench.cases import Layout
from harness.bench.rivals import chosen, libraries
from harness.bench.rivals.flashinfer import PAGE, paged

SMALL = {"s": [21], "batch": [2], "method": ["sparq"], "r": [4], "k": [4], "heads": 4, "kv_heads": 2, "d": 16}
SMALL |= {"samples": 1, "dtype": "float32", "device": "cpu", "kernel": "torch"}

FA3 = """
    from torch.nn.functional import scaled_dot_product_attention

    def flash_attn_with_kvcache(q, k_cache, v_cache, softmax_scale):
        q, k, v = (x.transpose(1, 2) for x in (q, k_cache, v_cache))
        return scaled_dot_product_attention(q, k, v, scale=softmax_scale, enable_gqa=True).transpose(1, 2)
"""
FLASHINFER = """
    import torch

    def single_decode_with_kv_cache(q, k, v, kv_layout, use_tensor_cores, sm_scale):
        assert kv_layout == "HND" and k.is_contiguous() and v.is_contiguous()
        return attend(q, k, v, sm_scale)

    def attend(q, k, v, scale):
        k, v = (x.repeat_interleave(len(q) // len(k), 0) for x in (k, v))
        weights = torch.einsum("hd,hnd->hn", q, k).mul(scale).softmax(-1)
        return torch.einsum("hn,hnd->hd", weights, v)

    class BatchDecodeWithPagedKVCacheWrapper:
        def __init__(self, workspace, kv_layout, **buffers):
            assert kv_layout == "HND" and not workspace.any()

        def plan(self, indptr, indices, last_page_len, heads, kv_heads, d, page_size, sm_scale, **types):
            assert all(x.dtype == torch.int32 for x in (indptr, indices, last_page_len))
            self.places, self.page_size, self.scale = (indptr, indices, last_page_len), page_size, sm_scale

        def run(self, q, cache):
            indptr, indices, last = self.places
            rows = []
            for row, query in enumerate(q):
                pages = indices[indptr[row] : indptr[row + 1]].tolist()
                n = (len(pages) - 1) * self.page_size + int(last[row])
                k, v = (torch.cat([of[page] for page in pages], 1)[:, :n] for of in cache)
                rows.append(attend(query, k, v, self.scale))
            return torch.stack(rows)
"""
MINE = """
    import torch

    def attend(q, k, v, scale):
        b, h, n, d = k.shape
        return torch.softmax(q.view(b, h, -1, d) @ k.mT * scale, -1).matmul(v).view(q.shape)

    def wrong(q, k, v, scale):
        return 1.5 * attend(q, k, v, scale)

    def half(q, k, v, scale):
        return q[:, ::2]

    def refuses(q, k, v, scale):
        raise KeyError("no float32")

    number = 3
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Stand-ins that do what the libraries' documentation says, in PyTorch, and a module of one's own."""
    for name, text in {"fa3_fwd_interface": FA3, "flashinfer": FLASHINFER, "mine": MINE}.items():
        (tmp_path / f"{name}.py").write_text(dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("fa3_fwd_interface", "flashinfer", "mine"):
        sys.modules.pop(name, None)


def lines(*rivals, **more):
    table = bench_attention(**{**SMALL, **more}, rivals=rivals)
    return table[~table["path"].str.startswith(("sdpa", "torch"))].set_index("path")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("s", [PAGE, 21])
def test_every_library_that_is_installed_is_timed_and_right(batch, s):
    found = lines(batch=[batch], s=[s])
    assert list(found.index) == ["fa3", "flashinfer", "flashinfer tensor cores"]
    assert set(found["status"]) == {"ok"} and (found["error"] < 1e-5).all() and (found["us"] > 0).all()
    assert set(found["method"]) == {"dense"} and (found["compared"] == 1).all()
    unknown = "of a version that it does not say"
    assert list(found["note"]) == [f"fa3-fwd, {unknown}", *[f"flashinfer-python, {unknown}"] * 2]


@pytest.mark.usefixtures("installed")
def test_a_line_of_a_library_notes_its_version(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: {"fa3-fwd": "1.2.3"}[package])
    assert list(lines("fa3")["note"]) == ["fa3-fwd 1.2.3"]


def test_a_library_that_is_not_installed_has_a_line_without_a_time(monkeypatch):
    real = importlib.util.find_spec
    lacking = {"fa3_fwd_interface", "flashinfer"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else real(name))
    found = lines()
    assert list(found["status"]) == ["absent", "absent"] and list(found.index) == ["fa3", "flashinfer"]
    assert found.loc["fa3", "note"] == "fa3-fwd is not installed: pip install fa3-fwd"
    assert found[["us", "error", "compared", "speedup"]].isna().all(axis=None)


def test_no_rival_is_tried_or_imported_unless_it_is_asked_for():
    assert "fa3_fwd_interface" not in sys.modules and "flashinfer" not in sys.modules
    table = bench_attention(**SMALL)
    assert not set(table["path"]) & set(libraries()) and chosen(None) == []


@pytest.mark.usefixtures("installed")
def test_a_function_is_called_with_heads_side_by_side_and_compared_with_float64():
    found = lines("mine:attend", "mine:wrong")
    assert found.loc["mine:attend", "status"] == "ok" and found.loc["mine:attend", "us"] > 0
    assert found.loc["mine:wrong", "status"] == "wrong" and pd.isna(found.loc["mine:wrong", "us"])
    assert found.loc["mine:wrong", "error"] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.usefixtures("installed")
def test_what_a_function_raises_or_returns_amiss_is_the_note_of_its_line():
    found = lines("mine:half", "mine:refuses")
    assert set(found["status"]) == {"unsupported"}
    assert "it must return a tensor of 128 elements, [B, Hq, D], not (2, 2, 16)" in found.loc["mine:half", "note"]
    assert found.loc["mine:refuses", "note"] == "KeyError: 'no float32'"


@pytest.mark.usefixtures("installed")
def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "beside_me.py").write_text(dedent(MINE))
    monkeypatch.chdir(tmp_path / "here")
    path = list(sys.path)
    assert lines("beside_me:attend")["status"].to_list() == ["ok"]
    assert sys.path == path and sys.modules.pop("beside_me")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fa4", "unknown rival 'fa4': choose from fa3, flashinfer, or give a function"),
        ("mine:", "--rivals mine: is no function: write module:function"),
        (":attend", "--rivals :attend is no function"),
        ("nowhere.at_all:attend", "'nowhere.at_all' cannot be imported (ModuleNotFoundError"),
        ("mine:number", "'mine' has no function 'number': define fn(q [B, Hq, D]"),
        ("mine:absent", "'mine' has no function 'absent'"),
    ],
)
def test_a_rival_that_cannot_be_had_is_refused_before_anything_is_measured(name, reason, capsys, monkeypatch):
    monkeypatch.setattr(Layout, "buffers", lambda *_: pytest.fail("inputs were made"))
    assert main(["bench", "attention", "--device", "cpu", "--rivals", name]) == 2
    said = capsys.readouterr().err
    assert reason in said and said.count("\n") == 1


def test_pages_hold_a_rows_tokens_one_after_another():
    rows = torch.randn(2, 3, 37, 4)
    pages = paged(rows)
    assert pages.shape == (2 * 3, 3, PAGE, 4)
    for b, h, n in [(0, 0, 0), (0, 2, 36), (1, 1, 15), (1, 1, 16)]:
        assert torch.equal(pages[b * 3 + n // PAGE, h, n % PAGE], rows[b, h, n])
