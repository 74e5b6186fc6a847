"""`harness figures` draws single figures by recipe, or tells what makes their data and what that costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.commands.parser import Parser
from harness.commands.sources import add_source_arguments, read_results, read_sources
from harness.errors import InputError
from harness.report import figures, recipes
from harness.report.drawing.save import Drawing, save
from harness.report.load import Results
from harness.report.sources import Sources
from harness.report.write import captions
from harness.store.files import write_whole

ABOUT = "Draw single figures of the paper; without a name, list them."
EXAMPLES = """examples:
  harness figures                                 the list
  harness figures fig-tradeoff --commands         what makes its data and draws it
  harness figures fig-tradeoff --cost             what that would cost
  harness figures fig-tradeoff --results results/ --models smollm2
"""


def add_arguments(parser: Parser) -> None:
    """Declare which figures, and what is wanted of them."""
    parser.epilog = EXAMPLES
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes, such as fig-tradeoff")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help="results; results/")
    parser.add_argument("--commands", action="store_true", help="print what makes the data and draws the figures")
    parser.add_argument("--cost", action="store_true", help="print what that would cost")
    add_source_arguments(parser, "folder to write to; RESULTS/figures by default")


def run(given: argparse.Namespace) -> None:
    """Draw figures, or tell of them. Raises InputError for an unknown one and where there is nothing to draw."""
    wanted = [recipes.find(name) for name in given.names or recipes.names()]
    if given.commands:
        text = "\n".join(recipes.commands(wanted, given.results))
    elif given.cost:
        text = _cost(wanted)
    elif given.names:
        text = "\n".join(str(file) for file in _draw(wanted, given))
    else:
        text = "\n".join(f"{recipe.name:<24} {recipe.about}" for recipe in wanted)
    sys.stdout.write(text.rstrip("\n") + "\n")


def _cost(wanted: Sequence[recipes.Recipe]) -> str:
    from harness.commands.recipe_cost import cost_text, costs  # needs torch, which drawing does not

    return cost_text(costs(wanted)) if any(recipe.experiment for recipe in wanted) else "benchmarks take minutes"


def _draw(wanted: Sequence[recipes.Recipe], given: argparse.Namespace) -> list[Path]:
    """Draw the figures of some recipes, under the recipes' names, and their captions; returns the files."""
    out = given.out or given.results / "figures"
    drawn: list[Drawing] = []
    for recipe in wanted:
        found = figures.find(recipe.figure).draw(_sources(recipe, given))
        named = (replace(d, stem=d.stem.replace(recipe.figure, recipe.name, 1)) for d in found)
        written = save(named, out)
        if not written:
            raise InputError(
                f"nothing to draw for {recipe.name} in {given.results}: its data lack what the figure shows"
            )
        drawn += written
    write_whole(out / "captions.md", captions(drawn))
    return [out / f"{drawing.stem}.pdf" for drawing in drawn]


def _sources(recipe: recipes.Recipe, given: argparse.Namespace) -> Sources:
    """Read what a recipe is drawn from: benchmarks alone, or results."""
    if recipe.benchmark:
        return read_sources(given, None)
    results = read_results(given)
    return read_sources(given, results if given.models else _of_recipe(recipe, results))


def _of_recipe(recipe: recipes.Recipe, results: Results) -> Results:
    """Keep the recipe's models. Raises InputError where they did not run."""
    missing = [model for model in recipe.models if model not in set(results.cells["model"])]
    if missing:
        there = " ".join(sorted(set(results.cells["model"])))
        raise InputError(
            f"no results of {', '.join(missing)} here: `harness figures {recipe.name} --commands` prints what makes "
            f"them; to draw what is here, add --models {there}"
        )
    return results.only(recipe.models)
