"""`harness lm-eval` runs lm-eval's own command line, which knows our models and methods as its model "harness"."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.commands.compose import choices, method_knobs, model_spec
from harness.commands.parser import Parser
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.attention import LayerShape
    from harness.evaluation.lm_eval_command import Choice
    from harness.hf import ModelSpec
    from harness.methods.cell import Cell
    from harness.methods.ratio import Of

ABOUT = "Run lm-eval's own command line with our engine as its model `harness`."
EXAMPLES = """examples:
  harness lm-eval run --model harness --model_args pretrained=smollm2,method=sparq,r=16,k=128 --tasks gsm8k
  harness lm-eval run --help            every option of lm-eval
  harness lm-eval ls tasks              every task

--model_args: pretrained is a file of conf/model/ or a path, method a method; knobs of the method and keys of the model
such as dtype may follow, and a seed where tokens are drawn. Knobs that are not given are those of `harness run`;
ratio=8 solves those that are left open for each prompt at its own length, as budget.per=example does there;
memory_ratio=8 solves them for what is held in memory.
"""

RATIOS: Mapping[str, Of] = {"ratio": "moved", "memory_ratio": "held"}
"""Arguments that knobs are solved for, and what bytes each is of."""


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


def _choose(
    pretrained: str,
    method: str = "dense",
    ratio: float | None = None,
    memory_ratio: float | None = None,
    **settings: Any,
) -> Choice:
    """Find the model and the method that --model_args name. Raises InputError."""
    from harness import methods
    from harness.evaluation.lm_eval_command import Choice

    seed, has = settings.get("seed", 0), methods.knobs(methods.find(method))
    if not isinstance(seed, int):
        raise InputError(f"--model_args: seed={seed} must be a whole number")
    knobs = {knob: value for knob, value in settings.items() if knob in has}
    settings = {key: value for key, value in settings.items() if key not in (*has, "seed")}
    try:
        model = _model(pretrained, settings)
    except InputError as error:
        raise InputError(f"--model_args: {error}") from None
    fixed = {**method_knobs(method, model), **knobs}
    return Choice(model, _cell_over(method, fixed, {"ratio": ratio, "memory_ratio": memory_ratio}), seed)


def _cell_over(
    method: str, fixed: Mapping[str, Any], ratios: Mapping[str, float | None]
) -> Callable[[tuple[LayerShape, ...]], Cell]:
    """Choose the cell of a method: its knobs as given, or solved for a ratio over a model's layers at each prompt."""
    from harness import methods
    from harness.methods.cell import Cell
    from harness.sweep.plan import check_ratio
    from harness.sweep.typed import typed

    asked = {name: typed(f"--model_args {name}", value, float) for name, value in ratios.items() if value is not None}
    if not asked:
        cell = Cell.of(method, methods.create(method, **fixed))
        return lambda layers: _fitting(cell, fixed, layers)
    if len(asked) > 1:
        raise InputError("--model_args: knobs are solved for ratio or for memory_ratio, not for both")
    ((name, ratio),) = asked.items()
    check_ratio(ratio)
    if not methods.open_knobs(method, fixed):
        raise InputError(f"--model_args: {name}={ratio:g} has nothing to solve, every knob of {method} is given")
    bounds = RATIOS[name]
    return lambda layers: _fitting(Cell.per_example(method, fixed, ratio, layers, bounds), fixed, layers)


def _fitting(cell: Cell, fixed: Mapping[str, Any], layers: tuple[LayerShape, ...]) -> Cell:
    """Return the cell. Raises InputError where the layers that it leaves dense are not the model's."""
    from harness.sweep.plan import find_misfit

    if misfit := find_misfit(cell.name, fixed, layers):
        raise InputError(misfit)
    return cell


def _model(pretrained: str, settings: Mapping[str, Any]) -> ModelSpec:
    """Return the model of a file of conf/model/, or one by its path."""
    if pretrained in choices("model"):
        return model_spec(pretrained, **settings)
    return model_spec("custom", **{"name": pretrained, "path": pretrained, **settings})
