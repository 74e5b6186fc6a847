"""What cannot be asked on lm-eval's own command line is told in one sentence."""

import pytest
from support.lm_eval_runs import TASK

from harness.hf import Checkpoint

pytestmark = pytest.mark.usefixtures("short_index")


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
