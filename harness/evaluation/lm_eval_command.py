"""Runs lm-eval's own command line, with our engine as the model class "harness"."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval.__main__ import HarnessCLI, setup_logging
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.config import evaluate_config
from lm_eval.utils import simple_parse_args_string

from harness.attention import LayerShape
from harness.data.hub import use_cache_without_hub
from harness.errors import InputError
from harness.evaluation.lent import lent_names
from harness.evaluation.lm_eval_model import HarnessLM
from harness.hf import ModelSpec, find
from harness.methods.cell import Cell

OPTIONS = Path(evaluate_config.__file__)
"""Where lm-eval checks its options."""
LM_EVAL_DEVICE = "cuda:0"
"""The device that lm-eval asks for if its user does not."""


class Choice(NamedTuple):
    """Names what runs: a model, given its layers the cell to decode under, and the seed where tokens are drawn."""

    model: ModelSpec
    cell_over: Callable[[tuple[LayerShape, ...]], Cell]
    seed: int = 0


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
    if arguments[0] == "run":
        use_cache_without_hub()
    if getattr(parsed, "model", None) == "harness" and "pretrained" in (parsed.model_args or {}):
        parsed.metadata = _lent(parsed, choose) | (parsed.metadata or {})
    with _worded():
        lm_eval.execute(parsed)


@contextlib.contextmanager
def _worded() -> Iterator[None]:
    """Raise what lm-eval says of options that do not go together, and of names and data that are not there."""
    try:
        yield
    except (ConnectionError, FileNotFoundError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{said}: check the network, or name local files in the task's YAML (dataset_path)") from error
    except ValueError as error:
        if Path(traceback.extract_tb(error.__traceback__)[-1].filename) != OPTIONS:
            raise
        raise InputError(" ".join(str(error).split())) from error


def _lent(parsed: Any, choose: Callable[..., Choice]) -> dict[str, str]:
    """Name tokenizer and model for tasks that make their data by length: ours may be names of conf/model/."""
    settings = _settings(parsed.model_args, {})
    settings.pop("rows")
    checkpoint = find(choose(**settings).model)
    return lent_names(checkpoint, checkpoint.tokenizer())


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
            """Make the model of a mapping."""
            settings = _settings(arg_dict, additional_config or {})
            rows = str(settings.pop("rows"))
            chosen = choose(**settings)
            checkpoint = find(chosen.model)
            cell = chosen.cell_over(checkpoint.layers)
            return cls(checkpoint, cell, int(rows) if rows.isdigit() else None, chosen.seed)

        @classmethod
        def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> LM:
            """Make the model of key=value pairs."""
            return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    return ChosenLM


def _settings(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Lay --model_args over options of their own; `rows` is the batch size, or the largest one where it is "auto".

    lm-eval's own default device, cuda:0, is ours to choose: "auto". Raises InputError if no model is named.
    """
    found = {key: value for key, value in options.items() if value is not None} | dict(given)
    if "pretrained" not in found:
        raise InputError("--model_args names no model: pretrained=smollm2, or a path")
    if "device" not in given and found.get("device") == LM_EVAL_DEVICE:
        found["device"] = "auto"
    size, most = (found.pop(key, "") for key in ("batch_size", "max_batch_size"))
    return found | {"rows": size if str(size).isdigit() else most}
