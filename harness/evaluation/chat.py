"""Puts a task's questions to a chat model, as lm-eval's hf backend does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError

from harness.errors import InputError, first_line
from harness.evaluation.deadline import within

Messages = Sequence[Mapping[str, str]]
PATIENCE = 20.0
"""Seconds for the rendering of one example, which takes less than a thousandth of it."""


class ChatTemplate:
    """Renders messages with a tokenizer's chat template.

    A template that refuses system messages gets none, as in lm-eval; `dropped_system` says that this happened. Raises
    InputError if there is no template of the name, and, when called, if it refuses the messages.
    """

    def __init__(self, tokenizer: Any, name: str | None = None) -> None:
        self._tokenizer = tokenizer
        self.text = _choose(getattr(tokenizer, "chat_template", None), name)
        self.dropped_system = False

    def __call__(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """Render messages; the last one is left open to be gone on with if no answer is prompted for."""
        try:
            return self._render(messages, add_generation_prompt)
        except TemplateError:
            self.dropped_system = True
        try:
            return self._render([m for m in messages if m["role"] != "system"], add_generation_prompt)
        except TemplateError as error:
            hint = "fewshot_as_multiturn=false puts the shots into one message"
            raise InputError(f"the chat template refuses the messages ({error}): {hint}") from error

    def _render(self, messages: Messages, prompts: bool) -> str:
        """Render in the sandbox that transformers has for templates, which knows no end of loops.

        Raises TemplateError for refused messages, InputError for a template that fails otherwise.
        """
        settings = {"tokenize": False, "add_generation_prompt": prompts, "continue_final_message": not prompts}
        given = {"chat_template": self.text, **settings}
        try:
            return within(PATIENCE, lambda: str(self._tokenizer.apply_chat_template(list(messages), **given)))
        except TemplateError:
            raise
        except Exception as error:  # a template is a program, which fails in its own ways
            hint = "leave apply_chat_template out, or borrow a model.tokenizer"
            raise InputError(f"the chat template fails ({first_line(error)}): {hint}") from error


@dataclass(frozen=True)
class Chat:
    """Says how questions become prompts: by a template or, without one, as plain text.

    `multiturn` makes shots turns of the chat; None: where there is a template.
    """

    template: ChatTemplate | None = None
    system_instruction: str | None = None
    multiturn: bool | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what lm-eval's tasks are told when they build their requests."""
        return {
            "system_instruction": self.system_instruction,
            "apply_chat_template": self.template is not None,
            "fewshot_as_multiturn": self.template is not None if self.multiturn is None else self.multiturn,
            "chat_template": self.template,
        }

    def notes(self) -> list[str]:
        """Say what of the questions the template could not put. Raises InputError if it was asked for by name."""
        if self.template is None or not self.template.dropped_system:
            return []
        if self.system_instruction:
            raise InputError("the chat template takes no system message: leave system_instruction out")
        return ["the chat template takes no system message: the task's description is left out, as in lm-eval"]


PLAIN = Chat()


def _choose(templates: Any, name: str | None) -> str:
    """Choose one of a tokenizer's templates: its only one, the default one, or one by name."""
    wanted = "apply_chat_template"
    if not templates:
        raise InputError(f"the tokenizer has no chat template: leave {wanted} out, or borrow a model.tokenizer")
    if isinstance(templates, str):
        if name is None:
            return templates
        raise InputError(f"the tokenizer's chat template has no name: {wanted}=true takes it, not {name}")
    name = name or "default"
    if name not in templates:
        raise InputError(
            f"the tokenizer has no chat template '{name}': {wanted}= one of {', '.join(sorted(templates))}"
        )
    return str(templates[name])
