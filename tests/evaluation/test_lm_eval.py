"""lm-eval's own command line with our model, and lm-eval's tasks under our grid; against eager transformers."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import lm_eval.tasks
import pandas as pd
import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import TaskIndex
from support.own_tasks import CHOICE, write_task, write_yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.__main__ import main
from harness.commands.compose import method_knobs, model_spec
from harness.engine import calibrate
from harness.evaluation import engines
from harness.hf import Checkpoint
from harness.report.load import load
from harness.report.page.texts import sample

TASK = """
task: tiny_mill
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{text}}}}"
doc_to_target: "{{{{target}}}}"
metric_list: [{{metric: {metric}, aggregation: {aggregation}, higher_is_better: true}}]
generation_kwargs: {{until: [">"], max_gen_toks: 6, do_sample: false}}
metadata: {{version: 1.0}}
"""
ASKED = ("piqa", "wikitext")
"""Folders of lm-eval's own tasks."""
TEXTS = [f"Question {i}: " + " ".join(["what is at the mill before the feast?"] * (5 + i)) for i in range(4)]


@pytest.fixture(autouse=True)
def _short_index(monkeypatch):
    """Let lm-eval index two of its tasks, those that are asked for here: reading all thousands takes minutes."""
    shipped, build = Path(lm_eval.tasks.__file__).parent, TaskIndex.build

    def few(paths):
        return build(
            [shorter for path in paths for shorter in (map(path.joinpath, ASKED) if path == shipped else [path])]
        )

    monkeypatch.setattr(TaskIndex, "build", staticmethod(few))


@pytest.fixture
def by_hand(tiny):
    """Log-likelihood of a continuation given a context, by eager attention in one pass."""
    model = AutoModelForCausalLM.from_pretrained(tiny, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(tiny)

    @torch.inference_mode()
    def likelihood(context, continuation):
        whole = tokenizer(context + continuation).input_ids
        start = len(tokenizer(context).input_ids) if context else 0
        said = model(torch.tensor([[0, *whole]] if not context else [whole])).logits[0].log_softmax(-1)
        first = start - 1 if context else 0
        return sum(float(said[first + i, token]) for i, token in enumerate(whole[start:]))

    return likelihood


@pytest.fixture
def command(tiny, tmp_path, monkeypatch):
    """Run lm-eval's command line on the tiny task; returns its numbers and samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", os.environ.copy())

    def call(kind, metric, aggregation, method, *more, backend="harness", folder=tiny):
        docs = tmp_path / "docs.json"
        docs.write_text("".join(json.dumps({"text": text, "target": "a red lantern"}) + "\n" for text in TEXTS))
        settings = {"file": docs, "kind": kind, "metric": metric, "aggregation": aggregation}
        (tmp_path / "tiny.yaml").write_text(TASK.format(**settings))
        model = f"pretrained={folder}" + (f",method={method}" if backend == "harness" else ",dtype=float32")
        asked = ["--model", backend, "--model_args", model, "--tasks", "tiny_mill", "--device", "cpu"]
        out = tmp_path / f"out_{backend}"
        where = ["--include_path", str(tmp_path), "--output_path", str(out), "--log_samples"]
        assert main(["lm-eval", "run", *asked, *where, *more]) == 0
        (results,), (samples,) = out.rglob("results_*.json"), out.rglob("samples_*.jsonl")
        found = json.loads(results.read_text())["results"]["tiny_mill"]
        return found, [json.loads(line) for line in samples.read_text().splitlines()]

    return call


def test_lm_evals_command_line_scores_dense_like_eager_attention(command, by_hand):
    found, samples = command("loglikelihood", "perplexity", "perplexity", "dense")
    asked = [sample["arguments"]["gen_args_0"] for sample in samples]
    assert [arguments["arg_0"] for arguments in asked] == TEXTS
    mean = sum(by_hand(arguments["arg_0"], arguments["arg_1"]) for arguments in asked) / 4
    assert found["perplexity,none"] == pytest.approx(math.exp(-mean), rel=1e-4)


def test_lm_evals_command_line_generates_under_a_method(command):
    _, samples = command("generate_until", "exact_match", "mean", "sparq,r=2,k=8")
    assert len(samples) == 4
    assert all(sample["resps"][0][0] for sample in samples)


def test_a_method_on_lm_evals_command_line_learns_from_the_first_prompts_that_are_asked(command, tiny, monkeypatch):
    named = []
    monkeypatch.setattr(engines, "calibrate", lambda *given: named.append(given[2].prompts) or calibrate(*given))
    method = "double_sparsity,r=2,k=8,channels=q,dense_layers=0,calibration_prompts=2"
    _, samples = command("generate_until", "exact_match", "mean", method)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    asked = [tokenizer(sample["arguments"]["gen_args_0"]["arg_0"]).input_ids for sample in samples]
    assert [list(tokens) for tokens in named[0]] == asked


def test_a_ratio_on_lm_evals_command_line_is_solved_for_each_prompt_at_its_own_length(command, tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    _, solved = command("generate_until", "exact_match", "mean", "window,ratio=3")
    for i, asked in enumerate(solved):
        n = len(tokenizer(asked["arguments"]["gen_args_0"]["arg_0"]).input_ids)
        k = max(k for k in range(1, n) if 2 * k + 2 <= (2 * n + 2) / 3)
        shutil.rmtree("out_harness")
        _, given = command("generate_until", "exact_match", "mean", f"window,k={k}")
        assert given[i]["resps"] == asked["resps"]


def test_a_memory_ratio_on_lm_evals_command_line_is_solved_for_what_is_held(command, tiny):
    n = len(AutoTokenizer.from_pretrained(tiny)(TEXTS[0]).input_ids)
    _, solved = command("generate_until", "exact_match", "mean", "window,memory_ratio=3")
    asked = next(sample for sample in solved if sample["arguments"]["gen_args_0"]["arg_0"] == TEXTS[0])
    shutil.rmtree("out_harness")
    _, given = command("generate_until", "exact_match", "mean", f"window,k={n // 3}")
    assert given[solved.index(asked)]["resps"] == asked["resps"]


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("window,ratio=0.5", "ratio 0.5 is no compression"),
        ("window,ratio=500", "window cannot reach ratio 500 at "),
        ("window,k=4,ratio=2", "ratio=2 has nothing to solve, every knob of window is given"),
        ("window,ratio=much", "ratio='much' must be a number"),
        ("window,memory_ratio=0.5", "ratio 0.5 is no compression"),
        ("sparq,memory_ratio=2", "sparq cannot reach memory ratio 2 at "),
        ("window,ratio=2,memory_ratio=2", "solved for ratio or for memory_ratio, not for both"),
        ("window,k=4,dense_layers=9", "dense_layers=9 names more layers than the model's 2"),
    ],
)
def test_a_ratio_on_lm_evals_command_line_that_cannot_be_is_one_sentence_before_weights(
    command, capsys, monkeypatch, method, sentence
):
    monkeypatch.setattr(Checkpoint, "load", lambda _: pytest.fail("weights were loaded"))
    with pytest.raises(AssertionError):
        command("generate_until", "exact_match", "mean", method)
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_the_command_line_of_lm_eval_names_an_unknown_method(command, capsys):
    with pytest.raises(AssertionError):
        command("loglikelihood", "perplexity", "perplexity", "nope")
    assert "harness: unknown method 'nope'" in capsys.readouterr().err


@pytest.fixture
def chatty(tiny, tmp_path):
    """The tiny model with a chat template that writes the start token."""
    folder = Path(shutil.copytree(tiny, tmp_path / "chatty"))
    turns = "<s>{% for m in messages %}[{{ m.role }}] {{ m.content }}</s>{% endfor %}"
    (folder / "chat_template.jinja").write_text(turns + "{% if add_generation_prompt %}[assistant]{% endif %}")
    return folder


def test_the_options_of_lm_evals_command_line_ask_what_its_hf_backend_asks_and_get_its_replies(command, chatty):
    options = ["--apply_chat_template", "--system_instruction", "Be brief.", "--num_fewshot", "1"]
    options += ["--fewshot_as_multiturn", "false", "--gen_kwargs", "max_gen_toks=4", "--limit", "0.5"]
    said = {}
    for backend in ("harness", "hf"):
        _, samples = command("generate_until", "exact_match", "mean", "dense", *options, backend=backend, folder=chatty)
        said[backend] = [(sample["arguments"]["gen_args_0"]["arg_0"], sample["resps"]) for sample in samples]
    assert said["harness"] == said["hf"]
    assert len(said["hf"]) == 2
    assert all(text.startswith("<s>[system] Be brief.</s>[user] Question") for text, _ in said["hf"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tasks", "nope"], "harness: Tasks not found: nope"),
        (
            ["--fewshot_as_multiturn", "true"],
            "harness: When `fewshot_as_multiturn` is True, `apply_chat_template` must",
        ),
        (["--apply_chat_template"], "harness: the tokenizer has no chat template"),
    ],
)
def test_options_of_lm_eval_that_cannot_be_followed_are_one_sentence(command, capsys, options, said):
    with pytest.raises(AssertionError):
        command("generate_until", "exact_match", "mean", "dense", *options)
    assert said in capsys.readouterr().err


def test_data_that_cannot_be_had_are_one_sentence(command, tmp_path, capsys):
    of_the_hub = TASK.replace("tiny_mill", "tiny_hub").replace("path: json", "path: nobody/nothing")
    settings = {"file": "none", "kind": "generate_until", "metric": "exact_match", "aggregation": "mean"}
    (tmp_path / "hub.yaml").write_text(of_the_hub.format(**settings))
    with pytest.raises(AssertionError):
        command("generate_until", "exact_match", "mean", "dense", "--tasks", "tiny_hub")
    error = capsys.readouterr().err
    assert "harness: Couldn't reach 'nobody/nothing'" in error
    assert "Traceback" not in error


def test_a_cache_of_responses_is_refused_because_it_does_not_know_the_method(command, capsys):
    with pytest.raises(AssertionError):
        command("loglikelihood", "perplexity", "perplexity", "dense", "--use_cache", "cache")
    assert "harness: --use_cache would give one method's replies as another's" in capsys.readouterr().err


def test_a_method_s_usual_knobs_depend_on_the_model():
    assert method_knobs("sparq", model_spec("llama-3-8b"))["reallocate"] is False
    assert method_knobs("sparq", model_spec("llama-2-7b")).items() >= {"k": 128, "reallocate": True}.items()


@pytest.fixture
def harness(tiny, tmp_path, monkeypatch):
    """Run a shipped task on rows of ours; returns rows and summary."""
    monkeypatch.chdir(tmp_path)

    def call(name, split, rows):
        pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
        data = f"{{dataset_path: parquet, dataset_name: null, dataset_kwargs: {{data_files: {{{split}: rows.parquet}}}}"
        splits = f"training_split: null, test_split: {split}, validation_split: null}}"
        task = ["task=lm_eval", f"task.name={name}", f"task.overrides={data}, {splits}"]
        methods = ["methods=[dense,sparq]", "method.sparq.r=2", "method.sparq.k=8"]
        assert main(["run", "model=custom", f"model.path={tiny}", *task, *methods]) == 0
        (folder,) = (tmp_path / "results").glob("custom-*")
        return pd.read_parquet(folder / "rows.parquet"), pd.read_csv(folder / "summary.csv")

    return call


def test_a_multiple_choice_task_of_lm_eval_runs_under_the_grid(harness, by_hand):
    wanted = ["put it at the mill", "sell a lantern"]
    docs = [
        {"goal": text.strip(), "sol1": wanted[0], "sol2": wanted[1], "label": i % 2} for i, text in enumerate(TEXTS)
    ]
    rows, table = harness("piqa", "validation", docs)
    assert set(table.metric) == {"acc", "acc_norm"}
    dense = rows[(rows.method == "dense") & (rows.metric == "acc")]
    for value, doc in zip(dense.value, docs, strict=True):
        first, second = (by_hand(f"Question: {doc['goal']}\nAnswer:", f" {choice}") for choice in wanted)
        assert value == (int(second > first) == doc["label"])


def test_a_rolling_task_of_lm_eval_is_scored_through_decoding(harness, by_hand):
    pages = [{"page": f"The mill of Orla, part {i}. " + "They say that Alda met Beric. " * (4 + i)} for i in range(3)]
    rows, table = harness("wikitext", "test", pages)
    dense, sparq = (
        table[(table.method == m) & (table.metric == "word_perplexity")].iloc[0] for m in ("dense", "sparq")
    )
    total = sum(by_hand("", page["page"]) for page in pages)
    words = sum(len(re.split(r"\s+", page["page"])) for page in pages)
    assert dense.value == pytest.approx(math.exp(-total / words), rel=1e-4)
    assert sparq.value != pytest.approx(dense.value, rel=1e-6)
    assert sparq.delta_dense == pytest.approx(sparq.value - dense.value) and math.isnan(sparq.delta_ci_low)
    assert not dense.higher_is_better
    assert rows[rows.method == "sparq"].active.all()


def test_a_group_of_own_tasks_is_reported_as_lm_evals_hf_backend_reports_it(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, count in (("own_a", 2), ("own_b", 5)):
        write_task(tmp_path, name, count, {**CHOICE, "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]})
    weights = [{"metric": "acc", "weight_by_size": False}, {"metric": "acc_norm"}]
    write_yaml(tmp_path, group="own", task=["own_a", "own_b"], aggregate_metric_list=weights)
    task = ["task=lm_eval", "task.name=own", f"task.include_path={tmp_path}", "task.num_fewshot=1"]
    knobs = ["methods=[dense,sparq]", "method.sparq.r=2", "method.sparq.k=8"]
    assert main(["run", "model=custom", f"model.path={tiny}", *task, *knobs]) == 0
    assert "runs Python that its YAML names with !function" in capsys.readouterr().out
    (folder,) = (tmp_path / "results").glob("custom-*")
    table = pd.read_csv(folder / "summary.csv")

    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    hf = HFLM(pretrained=str(tiny), dtype="float32", device="cpu")
    options = {"task_manager": manager, "num_fewshot": 1, "bootstrap_iters": 0}
    theirs = simple_evaluate(model=hf, tasks=["own"], **options)["results"]
    dense = table[table.method == "dense"]
    ours = {(line.task, f"{line.metric},none"): line.value for line in dense.itertuples()}
    wanted = {(n, m): v for n, found in theirs.items() for m, v in found.items() if m in ("acc,none", "acc_norm,none")}
    assert ours == pytest.approx(wanted)
    assert set(table.groupby("task")["n"].first().items()) == {("own_a", 2), ("own_b", 5), ("own", 7)}
    results = load(tmp_path / "results")
    assert set(results.cells["note"]) == {""}
    shown = sample(results, [panel for panel, _ in results.panels() if panel.task == "own"], 10**6).examples
    assert {example.id for example in shown} == {*(f"own_a/{i}" for i in range(2)), *(f"own_b/{i}" for i in range(5))}
    assert all(example.prompt and len(example.outputs) == 2 for example in shown)
