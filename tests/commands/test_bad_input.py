"""Each thing a user can get wrong is one sentence on standard error and exit code 2, before weights are loaded."""

import pandas as pd
import pytest
from support import architectures

from harness import methods
from harness.__main__ import main
from harness.hf import Checkpoint


@pytest.fixture
def _no_weights(monkeypatch):
    def refuse(self):
        raise AssertionError(f"weights of {self.path} were loaded")

    monkeypatch.setattr(Checkpoint, "load", refuse)


def only_sentence(lines):
    """The one line on standard error."""
    (line,) = lines
    assert line.startswith("harness: ")
    assert "Traceback" not in line
    return line


BAD = {
    "methods=[nope]": ["unknown method 'nope'", "sparq"],
    "method.sparq.q=3": ["method.sparq.q"],
    "+method.sparq.q=3": ["'sparq' has no knob 'q'", "local"],
    "task=nope": ["task/nope", "squad"],
    "model=nope": ["model/nope", "smollm2"],
    "data=nope": ["data/nope", "embedded"],
    "experiment=nope": ["experiment/nope", "quickstart"],
    "nope=3": ["nope"],
    "quickstart": ["quickstart is no KEY=VALUE", "harness run --help"],
    "ratios=[2,4": ["ratios=[2,4 is no KEY=VALUE", "quote"],
    "model.nope=3": ["nope"],
    "+model.nope=3": ["unknown key model.nope"],
    "+engine.nope=3": ["unknown key engine.nope"],
    "+num_fewshot=5": ["unknown key num_fewshot, which nothing reads"],
    "+max_length=64": ["unknown key max_length", "model.max_length is meant, perhaps"],
    "+batch_size=64": ["unknown key batch_size", "engine.batch_size is meant, perhaps"],
    "+task.nope=3": ["unknown key task.nope"],
    "+data.nope=3": ["unknown key data.nope"],
    "+data.files.nope=[x.parquet]": ["unknown key data.files.nope", "squad"],
    "+data.arguments.squad.nope=3": ["no argument 'nope'", "shots"],
    "+data.arguments.nope.shots=3": ["data.arguments.nope is set"],
    "data.root=folder": ["data.root is set", "data=local"],
    "+task.arguments.nope=3": ["no argument 'nope'", "shots"],
    "+task.overrides.num_fewshot=3": ["task.overrides is for tasks of lm-eval"],
    "+hydra.nope=3": ["nope"],
    "+hydra.run.nope=3": ["nope"],
    "ratios=[1000]": ["no method reaches ratio 1000", "sparq"],
    "ratios=[0.5]": ["ratio 0.5"],
    "memory_ratios=[0.5]": ["ratio 0.5"],
    "memory_ratios=[1000]": ["no method reaches memory ratio 1000", "the whole cache stays in memory"],
    "ratios=[]": ["nothing solves", "ratios=[2,4,8]"],
    "dense_layers=9": ["method.sparq: dense_layers=9 names more layers than the model's 2"],
    "dense_layers=-1": [": dense_layers=-1 must be a number of first layers"],
    "layers=some": [": layers='some' must be one of all, full"],
    "method.h2o.dense_layers=2": ["method.h2o: dense_layers=2 layers=all leaves no layer to act in"],
    "method.h2o.dense_layers=first": ["method.h2o.dense_layers='first' must be a number of first layers"],
    "method.quest.page_size=0": ["method.quest.page_size=0 must be at least 1, or null for its default"],
    "method.h2o.k=0": ["method.h2o.k=0 must be at least 1, or null to solve it for a ratio"],
    "methods=[round_attention]": ["'round_attention' cannot be run: it chooses among earlier rounds"],
    "limit=0": ["limit=0"],
    "limit=-3": ["limit=-3"],
    "methods=[]": ["methods=[]"],
    "model.path=nowhere/at_all": ["nowhere/at_all"],
    "model.dtype=int3": ["int3", "bfloat16"],
    "model.device=tpu": ["model.device=tpu", "cuda"],
    "model.device=cuda:99": ["model.device=cuda:99 is not here"],
    "engine.batch_size=0": ["batch_size=0"],
    "engine.batch_tokens=0": ["batch_tokens=0", "at least 1, or auto"],
    "engine.batch_tokens=abc": ["batch_tokens='abc' must be a whole number or auto"],
    "model.max_length=100": ["256", "100"],
}


WRONG_KIND = """
ratios=4 ratios=[two] limit=abc limit=2.5 engine.prefill_tokens=auto method.sparq=3 method.sparq.r=big method.sparq.r=0
method.h2o.k=-3 method.lm_infinite.k=0 task.arguments.shots=x
""".split()


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize(("argument", "words"), BAD.items(), ids=list(BAD))
def test_bad_input_is_one_sentence_and_exit_code_2_before_weights(harness, argument, words):
    code, _, err = harness(argument)
    sentence = only_sentence(err)
    assert code == 2
    assert all(word in sentence for word in words)


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize("argument", WRONG_KIND)
def test_a_value_of_the_wrong_kind_is_one_sentence_and_exit_code_2(harness, argument):
    code, _, err = harness(argument)
    only_sentence(err)
    assert code == 2


@pytest.mark.usefixtures("_no_weights")
def test_missing_data_is_named(harness, tmp_path):
    code, _, err = harness("data=local", "data.root=nowhere")
    assert (code, "nowhere" in only_sentence(err)) == (2, True)
    code, _, err = harness("data=local", f"data.root={tmp_path}")
    assert (code, "squad/validation.parquet" in only_sentence(err)) == (2, True)
    (tmp_path / "squad").mkdir()
    (tmp_path / "squad" / "validation.parquet").write_text("no parquet")
    code, _, err = harness("data=local", f"data.root={tmp_path}")
    assert (code, "validation.parquet" in only_sentence(err)) == (2, True)
    frame = pd.DataFrame({"id": ["1"], "title": ["a"], "context": ["b"], "answers": ["d"]})
    frame.to_parquet(tmp_path / "squad" / "validation.parquet")
    code, _, err = harness("data=local", f"data.root={tmp_path}")
    assert (code, "no column question" in only_sentence(err)) == (2, True)


@pytest.mark.usefixtures("_no_weights")
@pytest.mark.parametrize("name", list(architectures.REFUSED))
def test_an_unsupported_architecture_is_refused_by_name(harness, tmp_path, name):
    architectures.config(name).save_pretrained(tmp_path / "model")
    code, _, err = harness(f"model.path={tmp_path / 'model'}")
    assert (code, f"architecture '{name}'" in only_sentence(err)) == (2, True)


def test_list_has_a_line_for_every_name(capsys, repository):
    assert main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    named = {words[0] for words in lines if len(words) > 3}
    conf = repository / "conf"
    assert set(methods.names()) <= named
    for group in ("model", "task", "data", "budget", "experiment"):
        assert {file.stem for file in (conf / group).glob("*.yaml")} <= named
