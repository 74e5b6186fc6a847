"""`harness lm-eval` runs lm-eval's own command line, which knows our models and methods as its model "harness"."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.commands.compose import choices, method_knobs, model_spec
from harness.commands.parser import Parser
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.evaluation.lm_eval_command import Choice
    from harness.hf import ModelSpec

ABOUT = "Run lm-eval's own command line with our engine as its model `harness`."
EXAMPLES = """examples:
  harness lm-eval run --model harness --model_args pretrained=smollm2,method=sparq,r=16,k=128 --tasks gsm8k
  harness lm-eval run --help            every option of lm-eval
  harness lm-eval ls tasks              every task

--model_args: pretrained is a file of conf/model/ or a path, method a method; knobs of the method and keys of the model
such as dtype may follow, and a seed where tokens are drawn. Knobs that are not given are those of `harness run`.
"""


def add_arguments(parser: Parser) -> None:
    """Leave all that follows to lm-eval."""
    parser.epilog = EXAMPLES
    parser.intermixed = False
    parser.add_argument("what", choices=["run", "ls", "validate"], help="what lm-eval is to do")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of lm-eval")


def run(given: argparse.Namespace) -> None:
    """Hand the arguments to lm-eval. Raises InputError for what it, or our model, does not know."""
    from harness.evaluation.lm_eval_command import run_lm_eval

    run_lm_eval(given.arguments, _choose)


def _choose(pretrained: str, method: str = "dense", **settings: Any) -> Choice:
    """Find the model and the method that --model_args name. Raises InputError."""
    from harness import methods
    from harness.evaluation.lm_eval_command import Choice
    from harness.methods.cell import Cell

    seed, has = settings.get("seed", 0), methods.knobs(methods.find(method))
    if not isinstance(seed, int):
        raise InputError(f"--model_args: seed={seed} must be a whole number")
    knobs = {knob: value for knob, value in settings.items() if knob in has}
    settings = {key: value for key, value in settings.items() if key not in (*has, "seed")}
    try:
        model = _model(pretrained, settings)
    except InputError as error:
        raise InputError(f"--model_args: {error}") from None
    return Choice(model, Cell.of(method, methods.create(method, **{**method_knobs(method, model), **knobs})), seed)


def _model(pretrained: str, settings: Mapping[str, Any]) -> ModelSpec:
    """Return the model of a file of conf/model/, or one by its path."""
    if pretrained in choices("model"):
        return model_spec(pretrained, **settings)
    return model_spec("custom", **{"name": pretrained, "path": pretrained, **settings})
