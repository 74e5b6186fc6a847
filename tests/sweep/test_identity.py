"""An output is used again only where all that it depends on is as it was, and an old folder says why it is not."""

import json
import shutil

import pytest
from compare_tables import tables
from support.own_tasks import WRITE, write_task
from support.sweeps import configuration, launch, sweep_job

from harness.sweep.job import Job
from harness.sweep.prepare import prepare
from harness.sweep.protocol import CHANGES, PROTOCOL

DENSE = ("limit=1", "methods=[dense]")
QUOTED = "<|im_start|>{{ messages[0]['content'] }}"


def change_json(file, **entries):
    """Lay entries over a JSON file, which may be a new one."""
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(before | entries))


def swap_two_tokens(folder):
    """Give two tokens each other's ids: a tokenizer of the same size that writes other prompts."""
    whole = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = whole["model"]["vocab"]
    vocabulary["a"], vocabulary["e"] = vocabulary["e"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(whole))


def add_template(folder):
    """Add a chat template by name, which lies in a folder of its own."""
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "terse.jinja").write_text(QUOTED)


CHANGES_IN_PLACE = {
    "the ids of two tokens": (swap_two_tokens, "the tokenizer's files"),
    "a chat template": (lambda f: (f / "chat_template.jinja").write_text(QUOTED), "the tokenizer's files"),
    "a further chat template": (add_template, "the tokenizer's files"),
    "vocabulary beside the tokenizer": (lambda f: (f / "vocab.bpe").write_text("a e"), "the tokenizer's files"),
    "the configuration": (lambda f: change_json(f / "config.json", rms_norm_eps=0.1), "the model's files"),
    "code": (lambda f: (f / "modeling.py").write_text("x = 1"), "the model's files"),
    "the end of text": (
        lambda f: change_json(f / "generation_config.json", eos_token_id=[1, 2]),
        "the settings of generation",
    ),
}


@pytest.fixture
def model(tiny, tmp_path):
    """A checkpoint that a test may change in place."""
    return shutil.copytree(tiny, tmp_path / "model")


def identity(model, tmp_path, *arguments):
    return prepare(sweep_job(model, tmp_path / "results", *DENSE, *arguments)).identity


@pytest.mark.parametrize(("change", "named"), CHANGES_IN_PLACE.values(), ids=list(CHANGES_IN_PLACE))
def test_a_checkpoint_that_changes_in_place_is_another_one(model, tmp_path, change, named):
    before = identity(model, tmp_path)
    change(model)
    after = identity(model, tmp_path)
    assert after.key != before.key
    assert after.found[named] != before.found[named]


def test_a_borrowed_tokenizer_that_changes_in_place_is_another_one(tiny, model, tmp_path):
    keys = [identity(tiny, tmp_path, f"model.tokenizer={model}").key]
    for change in (swap_two_tokens, add_template):
        change(model)
        keys.append(identity(tiny, tmp_path, f"model.tokenizer={model}").key)
    assert len(set(keys)) == 3


def test_a_model_with_random_weights_has_the_bytes_of_its_tokenizer_in_its_key_too(model, tmp_path):
    before = identity(model, tmp_path, "model.random_weights=true")
    swap_two_tokens(model)
    assert identity(model, tmp_path, "model.random_weights=true").key != before.key


def test_a_checkpoint_that_is_moved_or_described_by_another_readme_is_the_same(tiny, model, tmp_path):
    (model / "README.md").write_text("Other words.")
    assert identity(model, tmp_path).key == identity(tiny, tmp_path).key


@pytest.mark.parametrize(
    "argument",
    [
        "task.system_instruction=Be brief.",
        "model.dtype=float64",
        "model.max_length=512",
        "engine.kernel=torch",
        "divergence=true",
    ],
)
def test_a_setting_that_changes_outputs_is_in_the_key(tiny, tmp_path, argument):
    assert identity(tiny, tmp_path, argument).key != identity(tiny, tmp_path).key


def test_a_folder_whose_tokenizer_changed_is_left_alone_and_the_console_says_why(model, tmp_path, capsys):
    results = tmp_path / "results"
    assert launch(sweep_job(model, results, *DENSE)) == 0
    (old,) = results.glob("custom-*")
    swap_two_tokens(model)
    capsys.readouterr()
    assert launch(sweep_job(model, results, *DENSE)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"not reused: {old.name} (not as before: the model's files, the tokenizer's files)" in said
    assert launch(sweep_job(model, tmp_path / "fresh", *DENSE)) == 0
    (new,) = (folder for folder in results.glob("custom-*") if folder != old)
    assert tables(new) == tables(tmp_path / "fresh" / new.name)


def test_a_folder_under_another_protocol_is_left_alone_and_the_console_says_what_changed(
    tiny, tmp_path, monkeypatch, capsys
):
    results = tmp_path / "results"
    with monkeypatch.context() as patch:
        for module in ("identity", "run"):
            patch.setattr(f"harness.sweep.{module}.PROTOCOL", PROTOCOL - 1)
        assert launch(sweep_job(tiny, results, *DENSE)) == 0
    (old,) = results.glob("custom-*")
    capsys.readouterr()
    assert launch(sweep_job(tiny, results, *DENSE)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"not reused: {old.name} (computed under protocol {PROTOCOL - 1}, not {PROTOCOL}: " in said
    assert all(change in said for change in CHANGES[PROTOCOL])


def test_folders_that_were_asked_for_something_else_are_not_spoken_of(model, tiny, tmp_path, capsys):
    results = tmp_path / "results"
    for path, more in ((tiny, ()), (tiny, ("model.dtype=float64",)), (model, ()), (tiny, ())):
        assert launch(sweep_job(path, results, *DENSE, *more)) == 0
    assert "not reused" not in capsys.readouterr().out


def test_a_task_whose_yaml_and_code_change_in_place_shows_nothing_of_before(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yaml = write_task(tmp_path, "own_task", kind=WRITE)
    code = "def score(doc, results):\n    return {'exact_match': float(len(results[0])) + %d}\n"
    changes = [
        {"doc_to_text": "{{text}} Then?"},
        {"generation_kwargs": {"until": ["e"], "max_gen_toks": 9, "do_sample": False}},
        {},
    ]
    for number, change in enumerate([{}, *changes]):
        change_json(yaml, **change)
        (tmp_path / "utils.py").write_text(code % number)
        plain = yaml.read_text()
        (tmp_path / "own_task.yaml").write_text(plain[:-1] + ', "process_results": !function utils.score}')
        for results in ("results", f"fresh{number}"):
            config = configuration("model=custom", f"model.path={tiny}", "task=lm_eval", "task.name=own_task", *DENSE)
            task = {**config["task"], "include_path": str(tmp_path)}
            assert launch(Job.of({**config, "task": task, "results": str(tmp_path / results)})) == 0
        (tmp_path / "own_task.yaml").write_text(plain)
        assert tables(tmp_path / "results") == tables(tmp_path / f"fresh{number}")
    assert len(list((tmp_path / "results").glob("custom-*"))) == 1
