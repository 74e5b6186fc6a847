"""`harness lm-eval`: lm-eval's own command line, with our engine as the model class "harness"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from lm_eval.__main__ import cli_evaluate
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import simple_parse_args_string

from harness import methods
from harness.commands.knobs import usual_knobs
from harness.engine import Engine
from harness.errors import InputError
from harness.evaluation.batches import PLAIN_TOKENS, Limits, batches, check_none_inactive, compute, find_inactive
from harness.evaluation.prompts import Encoder, TaskPrompt
from harness.evaluation.replay import Reply, reply
from harness.evaluation.requests import plain_request
from harness.hf import Bridge, ModelSpec, find, named, names
from harness.methods.cell import Cell
from harness.store.records import Record

LM_EVAL_DEVICE = "cuda:0"


class HarnessLM(LM):  # type: ignore[misc]
    """A model of conf/model/ (or any path) that decodes under one method.

    --model_args pretrained=smollm2,method=sparq,r=16,k=128; model keys such as dtype or device may be given too. Knobs
    that are not given are those of conf/method/.
    """

    def __init__(self, pretrained: str, method: str = "dense", batch_size: Any = None, **settings: Any) -> None:
        super().__init__()
        knobs = {knob: settings.pop(knob) for knob in methods.knobs(methods.find(method)) if knob in settings}
        spec = _spec(pretrained, settings)
        self._cell = Cell(method, methods.create(method, **{**usual_knobs(method, spec), **knobs}))
        checkpoint = find(spec)
        self._encoder = Encoder(checkpoint.tokenizer(), checkpoint.max_length)
        size = int(batch_size) if str(batch_size).isdigit() else None
        self._limits = Limits(PLAIN_TOKENS, size)
        self._engine = Engine(Bridge(checkpoint.load()))

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> HarnessLM:
        """As lm-eval calls it. Its own default device, cuda:0, is ours to choose: "auto"."""
        given = {key: value for key, value in (additional_config or {}).items() if value is not None}
        given.pop("max_batch_size", None)
        if given.get("device") == LM_EVAL_DEVICE:
            given["device"] = "auto"
        return cls(**{**given, **arg_dict})

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> HarnessLM:
        """As above, from key=value pairs."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    def generate_until(self, requests: list[Any]) -> list[Reply]:
        """Greedy continuations."""
        return self._answer(requests)

    def loglikelihood(self, requests: list[Any]) -> list[Reply]:
        """Likelihoods, scored through decoding."""
        return self._answer(requests)

    def loglikelihood_rolling(self, requests: list[Any]) -> list[Reply]:
        """Likelihoods of whole texts, scored through decoding."""
        return self._answer(requests)

    def _answer(self, instances: list[Any]) -> list[Reply]:
        asked = [plain_request(str(i.task_name), i) for i in instances]
        prompts = {request.key: self._encoder.prompts(request) for request in dict.fromkeys(asked)}
        records = self._records([prompt for parts in prompts.values() for prompt in parts])
        check_none_inactive(find_inactive([self._cell], records.values()))
        return [reply([records[prompt.key] for prompt in prompts[r.key]], r.kind) for r in asked]

    def _records(self, prompts: list[TaskPrompt]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for batch in batches(prompts, 1, self._limits):
            found |= {record.unit: record for record in compute(self._engine, batch, [self._cell], self._encoder)}
        return found


def run_lm_eval(arguments: Sequence[str]) -> None:
    """Hand the arguments to lm-eval, which knows the model "harness" for this process."""
    importlib.import_module("lm_eval.models")  # the first to register; a model added before it hides all of its own
    register_model("harness")(HarnessLM)
    sys.argv = ["lm-eval", *arguments]
    cli_evaluate()


def _spec(pretrained: str, settings: dict[str, Any]) -> ModelSpec:
    """A file of conf/model/ by name, or a model by its path."""
    try:
        if pretrained in names():
            return named(pretrained, **settings)
        return ModelSpec.of({"name": pretrained, "path": pretrained, **settings})
    except InputError as error:
        raise InputError(f"--model_args: {error}") from None
