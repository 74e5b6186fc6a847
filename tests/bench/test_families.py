"""`harness bench families`: a line for every method at equal bytes, with a time or the reason why there is none."""

import ast

import pandas as pd
import pytest
import torch
import write_families

from harness import methods
from harness.__main__ import main
from harness.attention import LayerShape
from harness.bench import workload
from harness.bench.cases import BY_TORCH, Layout, prompt_of
from harness.bench.check import Definition
from harness.bench.columns import columns
from harness.bench.families import bench_families, solved
from harness.bench.family_page import page
from harness.bench.row import FamilyRow
from harness.bench.timing import time_launches
from harness.errors import InputError
from harness.methods.cost import LayerAt, dense_cost

LAYOUT = Layout(2, 64, 4, 2, 16, torch.float32)
TINY = {"layouts": [LAYOUT], "samples": 1, "device": "cpu", "kernel": "torch"}


@pytest.fixture(scope="module")
def whole():
    return bench_families(**TINY)


def test_every_method_has_one_line_and_dense_one_of_each_backend(whole):
    assert list(whole) == list(columns(FamilyRow))
    others = whole[whole["method"] != "dense"]
    assert sorted(others["method"]) == [name for name in methods.runnable() if name != "dense"]
    assert whole[whole["method"] == "dense"]["path"].str.startswith("sdpa").all()
    assert dict(zip(others["method"], others["family"], strict=True)) == {
        name: methods.facts(name)["family"] for name in others["method"]
    }


def test_what_has_a_time_is_right_and_what_has_none_says_why(whole):
    timed = whole["status"] == "ok"
    assert (whole[timed]["error"] <= whole[timed]["tolerance"]).all() and (whole[timed]["us"] > 0).all()
    assert whole[~timed]["us"].isna().all() and (whole[~timed]["note"] != "").all()
    assert whole.set_index("method")["note"]["palu"].startswith("Palu learns from prompts")
    assert timed[whole["method"] == "sparq"].all() and timed[whole["method"] == "fp8"].all()


def test_the_bytes_are_those_that_the_methods_say_they_move(whole):
    at, dense = LayerAt.of(LayerShape(2, 16, group=2), 64, 0, 1), dense_cost(LayerAt(64, 16, 64)).moved
    row = whole.set_index("method").loc["sparq"]
    method = methods.create("sparq", **ast.literal_eval(row["params"]))
    parts = [method.cost(at).choose, method.cost(at).attend, method.cost(at).write]
    written = [row["choose_bytes"], row["attend_bytes"], row["write_bytes"]]
    assert written == pytest.approx([bits / 16 * 4 * 2 * 2 for bits in parts])  # float32, KV heads, rows
    assert row["compression"] == pytest.approx(dense / sum(parts)) and row["compression"] >= 8


def test_a_method_that_leaves_layers_dense_is_timed_where_it_does_not():
    assert methods.knobs(methods.find("quest"))["dense_layers"] > 0
    assert solved("quest", 4, Layout(1, 4096, 4, 2, 64, torch.float32)).dense_layers == 0


def test_a_method_out_of_reach_of_the_ratio_gets_the_next_lower_one():
    method = solved("flexgen", 8, LAYOUT)
    at = LayerAt.of(LayerShape(2, 16, group=2), 64, 0, 1)
    assert 1.5 <= dense_cost(at).moved / method.cost(at).moved < 2
    with pytest.raises(InputError, match="hip cannot reach ratio 8"):
        solved("hip", 8, LAYOUT)


def test_only_the_first_rows_are_defined_and_compared():
    method, inputs = methods.create("dense"), LAYOUT.buffers(torch.device("cpu"))
    prompt = prompt_of(method, inputs.step, BY_TORCH)
    one = Definition.of(method, inputs.step, prompt, rows=1)
    output = Definition.of(method, inputs.step, prompt).one.clone()
    output[1] += 1
    assert len(one.one) == 1 and one.compare(output, 1e-4) == pytest.approx((0, 1), abs=1e-5)
    output[0] *= 1.5
    assert one.compare(output, 1e-4).error == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in methods.runnable() if methods.find(name).rounds_at_start])
def test_what_rounds_a_prompt_is_compared_with_a_definition_that_starts_from_the_same_statistics(name):
    layout = Layout(2, 400, 4, 2, 16, torch.bfloat16)
    found = bench_families([layout], [name], samples=1, device="cpu", kernel="torch", rows=2)
    (row,) = found[found["method"] == name].to_dict("records")
    assert row["status"] == "ok" and row["error"] < 1e-2 and row["compared"] == 1


def test_a_slow_call_is_launched_once(monkeypatch):
    monkeypatch.setattr("harness.bench.timing.LONGEST", 0.0)
    ran = []
    assert time_launches(lambda: ran.append(1), torch.device("cpu"), 5).how == "clock"
    assert len(ran) == 1
    monkeypatch.setattr("harness.bench.timing.LONGEST", 1e9)
    time_launches(lambda: ran.append(1), torch.device("cpu"), 5)
    assert len(ran) == 1 + 5


def test_what_a_device_lacks_is_a_status_and_the_other_methods_go_on(monkeypatch):
    def lacking(name, *_, **__):
        if name == "h2o":
            raise RuntimeError('"topk" not implemented for this type')
        return right(name, *_, **__)

    right = workload.method_call
    monkeypatch.setattr(workload, "method_call", lacking)
    status = bench_families(**TINY, names=["h2o", "window"]).set_index("method")["status"]
    assert (status["h2o"], status["window"]) == ("unsupported", "ok")


@pytest.mark.usefixtures("triton")
def test_a_method_with_a_kernel_runs_by_it_and_the_others_in_torch(monkeypatch):
    monkeypatch.setattr(workload, "cache_size", lambda _: 1)  # one set of inputs
    found = bench_families(**{**TINY, "kernel": "triton"}, names=["dense", "sparq", "tova"]).set_index("method")
    assert found.loc["sparq", "path"] == "triton" and found.loc["tova", "path"] == "torch"
    assert "triton" in found.loc["dense", "path"].to_list() and set(found.loc[["sparq", "tova"], "status"]) == {"ok"}


def test_the_page_has_a_table_for_each_family_with_a_line_for_each_method(whole):
    text = page(whole)
    assert all(f"\n**{family}**\n" in text for family in whole["family"].unique() if family != "dense")
    own = whole[~whole["path"].str.startswith("sdpa")]
    assert [text.count(f"\n| `{name}`") for name in own["method"]] == [1] * len(own)
    (palu,) = [line for line in text.splitlines() if line.startswith("| `palu`")]
    assert palu == "| `palu` | torch | 8.0x | unsupported |  |  |"
    best = whole[whole["path"].str.startswith("sdpa")]["us"].min()
    assert f"Best dense at batch 2, 64 tokens: {best:.0f} us" in text


def test_two_shapes_stand_beside_each_other(tmp_path, capsys):
    file = tmp_path / "families.csv"
    small = (
        "--heads 4 --kv-heads 2 --d 16 --dtype float32 --samples 1 --device cpu --kernel torch --method dense window"
    )
    assert main(["bench", "families", "--shape", "2x64", "1x32", *small.split(), "--out", str(file)]) == 0
    out = capsys.readouterr().out
    assert list(pd.read_csv(file)) == list(columns(FamilyRow))
    (head,) = [line for line in out.splitlines() if line.startswith("| method")]
    assert "2 x 64: us" in head and "1 x 32: us" in head
    (window,) = [line for line in out.splitlines() if line.startswith("| `window`")]
    assert window.count("|") == head.count("|")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("--shape 16", "--shape 16 is no shape: write rows x tokens, such as 16x8192"),
        ("--shape 0x64", "batch must be at least 1"),
        ("--method nope", "unknown method 'nope'"),
        ("--ratio 0.5", "rows and ratio must be at least 1, not 1 and 0.5"),
        ("--rows 0", "rows and ratio must be at least 1, not 0 and 8"),
        ("--dtype int7", "no element type"),
    ],
)
def test_what_cannot_be_timed_is_refused(given, reason, capsys):
    assert main(["bench", "families", "--device", "cpu", *given.split()]) == 2
    assert reason in capsys.readouterr().err


def test_the_page_of_speed_is_what_its_script_writes():
    text = write_families.PAGE.read_text(encoding="utf-8")
    assert write_families.with_families(text) == text, "docs/speed is stale: python scripts/write_families.py"
