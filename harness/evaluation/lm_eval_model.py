"""Runs lm-eval's own command line, with our engine as the model class "harness"."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

from lm_eval.__main__ import HarnessCLI, setup_logging
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import simple_parse_args_string

from harness.engine import Engine
from harness.errors import InputError
from harness.evaluation.batches import PLAIN_TOKENS, Limits, batches, check_none_inactive, compute, find_inactive
from harness.evaluation.chat import ChatTemplate
from harness.evaluation.prompts import Encoder, TaskPrompt, tell_cuts
from harness.evaluation.replay import Reply, reply
from harness.evaluation.requests import plain_request
from harness.hf import Bridge, Checkpoint, ModelSpec, find
from harness.methods.cell import Cell
from harness.store.records import Record

LOG = logging.getLogger(__name__)
NO_SETTINGS = ("batch_size",)
"""Keys of --model_args that are no settings of a model or method."""
LM_EVAL_DEVICE = "cuda:0"
"""The device that lm-eval asks for if its user does not."""


class Choice(NamedTuple):
    """Names what runs: a model, and the cell that it decodes under."""

    model: ModelSpec
    cell: Cell


class HarnessLM(LM):  # type: ignore[misc]
    """Answers lm-eval's requests with a model that decodes under one cell, at most `rows` rows at once."""

    def __init__(self, checkpoint: Checkpoint, cell: Cell, rows: int | None = None) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._cell = cell
        self._tokenizer = checkpoint.tokenizer()
        self._encoder = Encoder(self._tokenizer, checkpoint.max_length, checkpoint.generation())
        self._chat: ChatTemplate | None = None
        self._limits = Limits(PLAIN_TOKENS, rows)

    @cached_property
    def _engine(self) -> Engine:
        """Load the weights when there is something to compute: requests are refused before."""
        return Engine(Bridge(self._checkpoint.load()))

    @property
    def tokenizer_name(self) -> str:
        """Name the tokenizer, as lm-eval's hf backend does for its cache of requests."""
        return str(self._tokenizer.name_or_path).replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Choose the chat template: the default one, or one by name. Returns its text."""
        if not chat_template:
            return None
        self._chat = ChatTemplate(self._tokenizer, None if chat_template is True else chat_template)
        return self._chat.text

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render messages with the chosen template; says once if it takes no system message."""
        chat = self._chat = self._chat or ChatTemplate(self._tokenizer)
        dropped = chat.dropped_system
        rendered = chat(chat_history, add_generation_prompt)
        if chat.dropped_system and not dropped:
            LOG.warning("the chat template takes no system message: it is left out")
        return rendered

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Raise InputError: lm-eval's cache of responses knows the question, not the model and method that replied."""
        raise InputError("--use_cache would give one method's replies as another's: `harness run` goes on with its own")

    def generate_until(self, requests: list[Any]) -> list[Reply]:
        """Continue prompts greedily."""
        return self._answer(requests)

    def loglikelihood(self, requests: list[Any]) -> list[Reply]:
        """Score continuations, token by token through decoding."""
        return self._answer(requests)

    def loglikelihood_rolling(self, requests: list[Any]) -> list[Reply]:
        """Score whole texts, token by token through decoding."""
        return self._answer(requests)

    def _answer(self, instances: list[Any]) -> list[Reply]:
        asked = [plain_request(str(i.task_name), i) for i in instances]
        prompts = {request.key: self._encoder.prompts(request) for request in dict.fromkeys(asked)}
        every = [prompt for parts in prompts.values() for prompt in parts]
        for sentence in tell_cuts(every, self._checkpoint.max_length):
            LOG.warning(sentence)
        records = self._records(every)
        check_none_inactive(find_inactive([self._cell], records.values()))
        return [reply([records[prompt.key] for prompt in prompts[r.key]], r.kind) for r in asked]

    def _records(self, prompts: list[TaskPrompt]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for batch in batches(prompts, [self._cell], self._limits):
            found |= {record.unit: record for record in compute(self._engine, batch, [self._cell], self._encoder)}
        return found


def run_lm_eval(arguments: Sequence[str], choose: Callable[..., Choice]) -> None:
    """Hand the arguments to lm-eval, which knows the model "harness" for this process.

    `choose` is called with the keys and values of --model_args, and with `device` if one is given. Raises InputError
    for arguments that lm-eval does not know.
    """
    importlib.import_module("lm_eval.models")  # the first to register; a model added before it hides all of its own
    register_model("harness")(_chosen_by(choose))
    sys.argv = ["lm-eval", *arguments]
    setup_logging()
    lm_eval = HarnessCLI()
    parsed = _parsed(lm_eval, arguments)
    if getattr(parsed, "model", None) == "harness" and "pretrained" in (parsed.model_args or {}):
        parsed.metadata = {"tokenizer": _tokenizer(parsed, choose), **(parsed.metadata or {})}
    lm_eval.execute(parsed)


def _tokenizer(parsed: Any, choose: Callable[..., Choice]) -> str:
    """Name the tokenizer for tasks that make their data by length: to them `pretrained` is a path, not a name."""
    settings = {key: value for key, value in parsed.model_args.items() if key not in NO_SETTINGS}
    return str(find(choose(**settings).model).tokenizer().name_or_path)


def _parsed(lm_eval: HarnessCLI, arguments: Sequence[str]) -> Any:
    """Let lm-eval parse sys.argv. Raises InputError with the last line of what it says of a mistake."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            return lm_eval.parse_args()
        except SystemExit as end:
            if not end.code:  # help was printed
                raise
    mistake = said.getvalue().rpartition("error: ")[2].strip()
    raise InputError(f"{mistake} (see `harness lm-eval {arguments[0]} --help`)")


@cache  # lm-eval takes one class for a name
def _chosen_by(choose: Callable[..., Choice]) -> type[HarnessLM]:
    """Make the class that lm-eval finds by name and makes from --model_args."""

    class ChosenLM(HarnessLM):
        """Takes its model and its cell from --model_args."""

        @classmethod
        def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> LM:
            """Make the model of a mapping. lm-eval's own default device, cuda:0, is ours to choose: "auto"."""
            given = {key: value for key, value in (additional_config or {}).items() if value is not None}
            most = given.pop("max_batch_size", "")
            if given.get("device") == LM_EVAL_DEVICE:
                given["device"] = "auto"
            settings = {**given, **arg_dict}
            rows = str(settings.pop("batch_size", ""))
            rows = rows if rows.isdigit() else str(most)
            if "pretrained" not in settings:
                raise InputError("--model_args names no model: pretrained=smollm2, or a path")
            model, cell = choose(**settings)
            return cls(find(model), cell, int(rows) if rows.isdigit() else None)

        @classmethod
        def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> LM:
            """Make the model of key=value pairs."""
            return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    return ChosenLM
