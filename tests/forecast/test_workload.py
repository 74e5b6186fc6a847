"""What `harness plan` counts, against what a run does."""

import copy
import dataclasses
import json

import pandas as pd
import pytest
import torch
from support.architectures import CONFIGS
from transformers import AutoConfig, AutoModelForCausalLM

from harness.__main__ import main
from harness.attention import LayerShape
from harness.commands.compose import compositions
from harness.errors import InputError
from harness.forecast.device import DEVICES, Device, Traffic
from harness.forecast.memory import Example
from harness.forecast.time_model import Choosing, Reading, TimeModel
from harness.forecast.transformer import Transformer
from harness.forecast.workload import Workload
from harness.hf.architecture import inspect_architecture
from harness.sweep.job import Job
from harness.sweep.prepare import prepare
from harness.sweep.workload import forecast, workload_of

SWEEP = ["model=custom", "data=embedded", "task=repetition", "methods=[dense,h2o]", "ratios=[2,4]", "limit=3"]
CHIP = Device("chip", flops=1e12, bandwidth=1e9, memory=1e9)
PLAIN = Reading(0.0, 0.0, 1.0)
MODEL = TimeModel(
    weights_share=1.0, prefill_share=0.5, call_us=1000.0, reading=PLAIN, torch=PLAIN, dense={},
    choosing=Choosing(0.0, 0.0, 0.0, {"channels": 1.0}),
)  # fmt: skip


def read(method, moved):
    return Traffic(method, "all", 0.0, moved, moved, 0.0)


def test_a_plan_counts_what_the_run_then_does(harness, tiny, tmp_path):
    (config,) = compositions([*SWEEP, f"model.path={tiny}", f"results={tmp_path / 'results'}"])
    found = workload_of(prepare(Job.of(config)))
    assert harness(*SWEEP[2:])[0] == 0
    (folder,) = (tmp_path / "results").glob("custom-*")
    lines = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
    rows = pd.read_parquet(folder / "rows.parquet")
    assert (found.cells, found.examples, found.runs) == (3, 3, len(lines))
    assert found.prefill_tokens == sum(line["prompt_tokens"] for line in lines) / found.cells
    assert found.decode_tokens == sum(len(line["tokens"]) for line in lines)
    typical = round(found.prefill_tokens / found.examples)
    dense = found.reads(typical)[0]
    assert (dense.method, dense.access) == ("dense", "all")
    assert dense.moved == pytest.approx(rows[rows["method"] == "dense"]["bytes_per_token"].mean(), rel=0.01)


@pytest.mark.parametrize(
    ("asked", "passes", "prefills"),
    [
        (["methods=[dense,h2o]"], [["all", "history"]], 1),  # dense's outputs are its greedy tokens
        (["methods=[h2o]"], [["all"], ["all", "history"]], 1),
        (["methods=[dense,h2o]", "task=wikitext"], [["all"], ["all", "history"]], 1),  # a text is not dense's own
        (["methods=[dense,h2o,x_attention]"], [["all", "history", "all", "all"]], 2),  # dense beside each prefill
        (["methods=[x_attention]"], [["all"], ["all", "all", "all"]], 2),
    ],
)
def test_a_plan_counts_the_passes_of_a_comparison_with_dense(tiny, asked, passes, prefills):
    (config,) = compositions([*SWEEP, f"model.path={tiny}", "ratios=[2]", *asked])
    plain, compared = (workload_of(prepare(Job.of({**config, "divergence": on}))) for on in (False, True))
    assert [[read.access for read in reads(700)] for reads in compared.further] == passes
    assert (compared.prefills, compared.decode_tokens) == (prefills, plain.decode_tokens)
    moved = [sum(read.moved for read in reads(700)) for reads in (compared.reads, *compared.further)]
    assert compared.moved_bytes / plain.moved_bytes == pytest.approx(sum(moved) / moved[0], rel=0.1)


def test_a_plan_says_what_is_skipped_and_what_will_not_be_at_its_ratio(tiny):
    asked = ["methods=[dense,flexgen,sparq,window]", "method.sparq.k=4", "ratios=[4]", f"model.path={tiny}"]
    said = [line for line in forecast(compositions([*SWEEP, *asked])).splitlines() if line.startswith("custom on rep")]
    assert [line.removeprefix("custom on repetition: ").split(" at 768")[0] for line in said[1:]] == [
        "skipped: flexgen cannot reach ratio 4",
        "sparq k=4 r=7 reallocate is at ratio 4.41 (asked 4)",
    ]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_weights_that_multiply_are_those_of_the_model_without_its_table(name):
    wide = {"hidden_size": 512, "intermediate_size": 1024, "vocab_size": 997, "n_embd": 512, "ffn_dim": 1024}
    wide |= {"word_embed_proj_dim": 512, "head_dim": 128}
    settings = {key: wide.get(key, value) for key, value in CONFIGS[name].items()} | {
        "tie_word_embeddings": True,
        "pad_token_id": None,
    }
    if "n_embd" in settings:  # four times the width, as its family has it
        del settings["intermediate_size"]
    config = AutoConfig.for_model(name, **settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config))
    layers = inspect_architecture(name, config).layers
    positions = 256 * 512 if name in ("gpt2", "opt") else 0  # learnt, and looked up like the table
    exact = sum(p.numel() for p in model.parameters()) - positions
    assert Transformer.of(config, layers, 2).parameters == pytest.approx(exact, rel=0.01)


def test_a_device_with_less_memory_is_planned_with_smaller_batches_unless_their_size_is_given(tiny, tmp_path):
    def batches(*more):
        (config,) = compositions([*SWEEP, "limit=8", f"model.path={tiny}", f"results={tmp_path}", *more])
        prepared = prepare(Job.of(config))
        devices = (dataclasses.replace(CHIP, memory=memory) for memory in (0.85e9, 1e12))
        return [len(workload_of(prepared, device).batches) for device in devices]

    few, all_of_them = batches()
    assert few > all_of_them == 1
    assert batches("engine.batch_tokens=1") == [8, 8]


def small(examples, reads):
    model = Transformer([LayerShape(4, 1)] * 10, hidden=1, inner=0, vocabulary=10**9 - 160, heads=4)
    return Workload("m on t", model, [examples], cells=len(reads), prefills=1, reads=lambda _: reads)


def test_a_step_takes_as_long_as_its_kernels_and_the_first_two_their_launches_too():
    reads, time = [read("a", 2e6), read("b", 6e6)], dataclasses.replace(MODEL, call_us=1e6)
    step = 2e9 / 1e9 + (2e6 + 6e6) * 3 / 1e9  # weights, and three rows of each cell
    six = small([Example(7, 6)] * 3, reads)  # the first token is the prefill's
    hours = six.hours(time, CHIP)
    assert hours.kernels * 3600 == pytest.approx(5 * step)
    assert hours.decoding * 3600 == pytest.approx(5 * step + 2 * 2 * 10)  # steps, cells, layers: seconds
    assert small([Example(7, 2)] * 3, reads).hours(time, CHIP).decoding * 3600 == pytest.approx(step + 2 * 10)
    assert six.moved_bytes == 5 * 3 * 8e6


def test_hours_of_the_methods_are_those_of_the_whole_and_the_rest_is_shared_evenly():
    two = small([Example(7, 6)] * 3, [read("a", 2e6), read("b", 6e6), read("b", 6e6)])
    hours = two.hours_by_method(MODEL, CHIP)
    assert sum(hours.values()) == pytest.approx(two.hours(MODEL, CHIP).decoding)
    launches = 2 * 10 * 1000e-6
    assert hours["a"] * 3600 == pytest.approx(5 * (2 / 3 + 2e6 * 3 / 1e9) + launches)
    assert hours["b"] * 3600 == pytest.approx(2 * (5 * (2 / 3 + 6e6 * 3 / 1e9) + launches))


def test_nothing_is_recorded_where_there_are_no_kernels_and_nothing_waits_for_its_launch():
    one = small([Example(7, 6)] * 3, [read("a", 2e6)])
    hours = one.hours(MODEL, dataclasses.replace(CHIP, kernels=False))
    assert hours.decoding == pytest.approx(hours.kernels)


@pytest.mark.parametrize(("more", "by"), [([], "kernel"), (["engine.kernel=torch"], "PyTorch (estimate)")])
def test_a_plan_prices_every_method_on_every_device_and_says_what_is_an_estimate(tiny, more, by):
    names = ["dense", "h2o", "tova", "fp8", "sparq"]
    asked = [f"methods=[{','.join(names)}]", "ratios=[2]", f"model.path={tiny}", *more]
    text = forecast(compositions([*SWEEP, *asked]))
    prices = text[text.index("decoding under") :].splitlines()
    assert prices[0].split()[2:-2] == [device.name for device in DEVICES]
    lines = {line.split()[0]: line.split(maxsplit=6)[1:] for line in prices[1 : 1 + len(names)]}
    assert list(lines) == names
    for *hours, _ in lines.values():
        assert len(hours) == len(DEVICES) and all(float(of) > 0 for of in hours)
    assert [lines[name][-1] for name in ("dense", "h2o", "sparq")] == [by] * 3
    assert lines["tova"][-1] == "PyTorch (estimate)"


def test_every_prefill_multiplies_all_weights_and_attends_to_what_came_before():
    one = small([Example(7, 2)], [read("a", 1.0)] * 5)
    flops = 2e9 * 7 + 2 * 7 * 7 * 4 * 10
    for prefills in (1, 3):
        hours = dataclasses.replace(one, prefills=prefills).hours(MODEL, CHIP)
        assert hours.prefill * 3600 == pytest.approx(prefills * flops / 0.5e12)
        assert hours.prefill_per_cell * 3600 == pytest.approx(5 * flops / 0.5e12)


def test_memory_is_that_of_the_longest_example_and_of_the_fullest_batch_padding_included():
    one = dataclasses.replace(
        small([], [read("a", 1.0)] * 2), batches=[[Example(10, 1), Example(4, 5)], [Example(12, 2)]]
    )
    per_token = 2 * 4 * 1 * 10 * 2
    assert one.example_bytes == 14 * per_token
    assert one.batch_bytes == 2 * (10 + 2 * 5) * per_token


def test_the_plan_of_the_papers_grid_tells_sizes_hours_and_what_sharing_saves(capsys):
    assert main(["plan", "experiment=paper_grid", "model=llama-2-7b-shape", "data=embedded", "limit=2"]) == 0
    out, err = capsys.readouterr()
    assert not err
    row = next(line for line in out.splitlines() if line.startswith("llama-2-7b-shape on squad"))
    assert row.split()[3:6] == ["20", "2", "40"]
    hours = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.endswith("x")}
    assert set(hours) == {device.name for device in DEVICES}
    for whole, prefill, kernels, alone, _ in hours.values():
        assert float(prefill) <= float(kernels) <= float(whole) <= float(alone.rstrip(","))
    assert "assumed, not measured" in out


def test_a_job_that_cannot_be_planned_is_named_and_the_others_are_planned(tiny):
    config = {"name": "tiny", "path": str(tiny), "device": "cpu"}
    gone = {"name": "gone", "path": "/no/such/folder", "device": "cpu"}
    plain = compositions(["model=custom", "model.path=x", *SWEEP[1:]])[0]
    text = forecast([{**plain, "model": config}, {**plain, "model": gone}])
    assert "1 jobs" in text
    assert "cannot be planned: gone on repetition: model 'gone'" in text
    with pytest.raises(InputError, match="no job can be planned: gone on repetition"):
        forecast([{**plain, "model": gone}])
