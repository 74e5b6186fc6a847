"""YAMLs of tasks on a few rows, and a stand-in for a model: what lm-eval itself makes of them is compared with ours."""

import hashlib
import json

from lm_eval.api.model import LM

QUESTION = "Question {name}{i}: what is at the mill before feast {i}?"
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "label",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
WRITE = {
    "output_type": "generate_until",
    "doc_to_text": "{{text}}",
    "doc_to_target": "{{target}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 6, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def write_rows(folder, name, count, **more):
    """Rows of a task in a file, each question another; returns the file."""
    rows = [
        {"text": QUESTION.format(name=name, i=i), "choices": ["a lantern", "the mill"], "target": "a lantern"}
        | {"label": i % 2}
        | {key: values[i] for key, values in more.items()}
        for i in range(count)
    ]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_yaml(folder, **config):
    """A YAML of lm-eval's; JSON is YAML too."""
    name = config.get("task") if isinstance(config.get("task"), str) else config["group"]
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return file


def write_task(folder, name, count=4, kind=CHOICE, rows=(), **more):
    """A task on rows of its own; returns its YAML."""
    file = write_rows(folder, name, count, **dict(rows))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}, "test_split": "test"}
    return write_yaml(folder, **{"task": name, **data, **kind, "metadata": {"version": 1.0}, **more})


def answer(kind, *asked):
    """A reply that depends on nothing but the text: a likelihood, or one of two words."""
    number = hashlib.sha256("\0".join(asked).encode()).digest()[0]
    return ("a lantern", "the mill")[number % 2] if kind == "generate" else (-float(number), number % 2 == 0)


class Oracle(LM):
    """Answers by `answer`, and remembers what it was asked."""

    def __init__(self, chat=None):
        super().__init__()
        self._chat = chat
        self.asked = []

    tokenizer_name = "none"

    def apply_chat_template(self, history, add_generation_prompt=True):
        """Render a chat as the template given does."""
        return self._chat(history, add_generation_prompt=add_generation_prompt)

    def _answers(self, kind, requests):
        self.asked += [(r.task_name, *r.args[:2]) for r in requests]
        return [answer(kind, *(text for text in r.args[:2] if isinstance(text, str))) for r in requests]

    def loglikelihood(self, requests):
        """Likelihoods."""
        return self._answers("score", requests)

    def loglikelihood_rolling(self, requests):
        """Likelihoods of whole texts."""
        return [likelihood for likelihood, _ in self._answers("score", requests)]

    def generate_until(self, requests):
        """Texts."""
        return self._answers("generate", requests)


def replies(requests):
    """What `answer` says to the questions of a suite, by key."""
    said = {}
    for r in requests:
        said[r.key] = answer(r.kind, *((r.context,) if r.kind == "generate" else (r.context, r.continuation)))
    return said
