"""lm-eval's own command line with our model: it says what eager transformers and lm-eval's hf backend say."""

import math
import shutil
from pathlib import Path

import pytest
from support.lm_eval_runs import TEXTS
from transformers import AutoTokenizer

from harness.commands.compose import method_knobs, model_spec
from harness.engine import calibrate
from harness.evaluation import engines

pytestmark = pytest.mark.usefixtures("short_index")


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


def test_a_method_s_usual_knobs_depend_on_the_model():
    assert method_knobs("sparq", model_spec("llama-3-8b"))["reallocate"] is False
    assert method_knobs("sparq", model_spec("llama-2-7b")).items() >= {"k": 128, "reallocate": True}.items()
