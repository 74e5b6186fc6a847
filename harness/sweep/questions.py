"""Finds the task that a job asks: its rows, its members and how they are put to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.data.hub import use_cache_without_hub
from harness.data.sources import Source, resolve
from harness.errors import InputError
from harness.evaluation.chat import Chat, ChatTemplate
from harness.evaluation.lent import drawing_as_lm_eval, lent_names
from harness.evaluation.prompts import Encoder
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import Shipped, load_paper_task, load_shipped
from harness.evaluation.wording import worded
from harness.hf import Checkpoint
from harness.paths import asset, cache_root
from harness.sweep.job import Job
from harness.sweep.task_spec import TaskSpec
from harness.sweep.typed import check_known


class Questions(NamedTuple):
    """Holds what a job asks, where its rows come from, and sentences on what was asked for and is not followed."""

    suite: Suite
    source: Source
    notes: list[str]


def find_questions(job: Job, checkpoint: Checkpoint, tokenizer: Any, encoder: Encoder) -> Questions:
    """Load the task of a job and put its questions as text. Raises InputError for what cannot be asked so."""
    chat = _chat(job.task, tokenizer)
    if job.task.yaml is None:
        questions = _shipped(job, chat, lent_names(checkpoint, tokenizer))
    else:
        questions = _paper(job, chat, encoder, checkpoint.max_length)
    return questions._replace(notes=questions.notes + chat.notes())


def _chat(task: TaskSpec, tokenizer: Any) -> Chat:
    asked = task.apply_chat_template
    template = ChatTemplate(tokenizer, None if asked is True else asked) if asked else None
    return Chat(template, task.system_instruction, task.fewshot_as_multiturn)


def _shipped(job: Job, chat: Chat, names: Mapping[str, str]) -> Questions:
    """Load a task, group or tag of lm-eval's. Those that make their own data are told names of tokenizer and model."""
    task = job.task
    asked = Shipped(
        name=task.name,
        overrides=task.overrides or {},
        include_path=task.include_path,
        metadata={**names, **(task.metadata or {})},
        num_fewshot=task.num_fewshot,
        gen_kwargs=task.gen_kwargs or {},
        confirm_run_unsafe_code=task.confirm_run_unsafe_code,
    )
    use_cache_without_hub()
    with drawing_as_lm_eval():
        loaded = load_shipped(asked)
        with worded(task.name):
            suite = Suite(loaded.tasks, job.limit, loaded.groups, chat)
    notes = [task.own_code] if task.own_code else []
    return Questions(suite, Source("lm_eval", {}), notes + loaded.notes)


def _paper(job: Job, chat: Chat, encoder: Encoder, positions: int) -> Questions:
    """Load a task of the project. Its construction sees text; for lengths it is lent a counter and the limit."""
    task = job.task
    check_known(job.data.files, {file.stem for file in (asset("tasks") / "paper").glob("*.yaml")}, "data.files.")
    source = resolve(job.data, str(task.yaml).removeprefix("paper_"), asset("tasks") / "corpus", cache_root())
    source = Source(source.name, {**source.arguments, **task.given})
    try:
        given = {**source.arguments, "count": encoder.count, "positions": positions}
        loaded = load_paper_task(str(task.yaml), asset("tasks") / "paper", given)
        return Questions(Suite({task.name: loaded}, job.limit, chat=chat), source, [])
    except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        what = f"with {task.given}" if task.given else "from these rows"
        raise InputError(f"task {task.name} cannot be built {what}: {type(error).__name__}: {error}") from error
