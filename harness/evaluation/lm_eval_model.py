"""Answers lm-eval's requests with our engine: the model class of lm-eval's own command line and of comparisons."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from lm_eval.api.model import LM

from harness.engine import CalibratingPrompts, Engine
from harness.errors import InputError
from harness.evaluation.batches import PLAIN_TOKENS, Limits, batches, compute
from harness.evaluation.chat import ChatTemplate
from harness.evaluation.engines import first_in_turn, make_engine, refusal
from harness.evaluation.inert import check_none_inert
from harness.evaluation.prompts import Encoder, TaskPrompt, tell_cuts
from harness.evaluation.replay import Reply, reply
from harness.evaluation.requests import Request, plain_request
from harness.hf import Checkpoint
from harness.methods import Method
from harness.methods.cell import Cell
from harness.store.records import Record

LOG = logging.getLogger(__name__)


class HarnessLM(LM):  # type: ignore[misc]
    """Answers lm-eval's requests with a model that decodes under one cell, at most `rows` rows at once."""

    def __init__(self, checkpoint: Checkpoint, cell: Cell, rows: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self._seed = seed
        self._checkpoint = checkpoint
        self._cell = cell
        self._tokenizer = checkpoint.tokenizer()
        self._encoder = Encoder(self._tokenizer, checkpoint.max_length, checkpoint.generation())
        self._chat: ChatTemplate | None = None
        self._limits = Limits(PLAIN_TOKENS, rows)
        self._calibrating: CalibratingPrompts | None = None

    def _engine_for(self, prompts: list[TaskPrompt]) -> Engine:
        """Load the weights when there is something to compute: requests are refused before.

        A method that learns from prompts beforehand does so from the first that lm-eval ever asks.
        """
        self._calibrating = self._calibrating or first_in_turn(prompts)
        return make_engine(self._checkpoint, self._model, self._methods(prompts), self._calibrating)

    @cached_property
    def _model(self) -> Any:
        return self._checkpoint.load()

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
        """Continue prompts, as each request's settings say."""
        return self._answer(requests)

    def loglikelihood(self, requests: list[Any]) -> list[Reply]:
        """Score continuations, token by token through decoding."""
        return self._answer(requests)

    def loglikelihood_rolling(self, requests: list[Any]) -> list[Reply]:
        """Score whole texts, token by token through decoding."""
        return self._answer(requests)

    def _answer(self, instances: list[Any]) -> list[Reply]:
        asked = list(self._requests(instances))
        prompts = {request.key: self._encoder.prompts(request) for request in dict.fromkeys(asked)}
        every = [prompt for parts in prompts.values() for prompt in parts]
        self._check(every)
        for sentence in tell_cuts(every, self._checkpoint.max_length):
            LOG.warning(sentence)
        records = self._records(every)
        active = {request.task for request in asked if any(records[p.key].active for p in prompts[request.key])}
        inert = {request.task for request in asked} - active
        check_none_inert({self._cell: inert} if inert and not self._cell.is_dense else {})
        return [reply([records[prompt.key] for prompt in prompts[r.key]], r.kind) for r in asked]

    def _check(self, prompts: list[TaskPrompt]) -> None:
        """Raise InputError, before weights are loaded, for what the model or the ratio does not allow."""
        for method in self._methods(prompts):
            if refused := refusal(self._checkpoint, method):
                raise InputError(f"{self._cell.name}: {refused}")
        self._checkpoint.check(prompts)

    def _methods(self, prompts: list[TaskPrompt]) -> list[Method[Any]]:
        """Return what prompts are decoded with. Raises InputError for a ratio that one cannot reach."""
        return [self._cell.method_at(n) for n in sorted({len(prompt.tokens) for prompt in prompts})]

    def _requests(self, instances: list[Any]) -> Iterator[Request]:
        """Make the requests of instances; one that is there again is another repeat, where tokens are drawn."""
        before: Counter[str] = Counter()
        for instance in instances:
            request = plain_request(str(instance.task_name), instance)
            yield request.again(self._seed, before[request.key])
            before[request.key] += 1

    def _records(self, prompts: list[TaskPrompt]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        engine = self._engine_for(prompts)
        for batch in batches(prompts, [self._cell], self._limits):
            found |= {record.unit: record for record in compute(engine, batch, [self._cell], self._encoder)}
        return found
