"""`harness report` and `harness figures`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from harness.commands.recipe_cost import cost_text, costs
from harness.errors import InputError
from harness.report import figures, recipes
from harness.report.against.published import published
from harness.report.against.verdicts import VERDICTS
from harness.report.drawing.save import Drawing, save
from harness.report.load import Results, load
from harness.report.sources import Sources, read_benchmarks
from harness.report.write import captions, write_report
from harness.store.files import write_whole

MOST_NOTES = 10
"""Printed in the terminal; the report has them all."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see `{self.prog} --help`)")


def report_command(arguments: Sequence[str]) -> None:
    """`harness report RESULTS`: tables, figures and a page of every run found there."""
    parser = _Parser("harness report", description="Tables, figures and an interactive page of a results folder.")
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), help="results, or one run's folder")
    _add_sources(parser, "folder to write to; RESULTS/report by default")
    asked = parser.parse_args(arguments)
    out = asked.out or asked.results / "report"
    sources = _sources(asked, ())
    results = sources.results
    assert results is not None
    judged = write_report(results, sources, out)
    for sentence in results.notices[:MOST_NOTES]:
        _say(f"note: {sentence}")
    if len(results.notices) > MOST_NOTES:
        _say(f"note: {len(results.notices) - MOST_NOTES} more in {out / 'notices.md'}")
    if judged is not None:
        counts = judged["verdict"].value_counts()
        _say("against published: " + ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS))
    _say(f"{len(results.cells)} cells -> {out / 'index.html'}, {out / 'tables'}, {out / 'figures'}")


def figures_command(arguments: Sequence[str]) -> None:
    """`harness figures NAME ...`: single figures by recipe; without a name, the recipes."""
    parser = _Parser("harness figures", description="Draw figures of the paper; without a name, list them.")
    parser.add_argument("names", nargs="*", help="recipes, such as fig-tradeoff")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with results")
    parser.add_argument("--commands", action="store_true", help="print what makes the data and draws the figures")
    parser.add_argument("--cost", action="store_true", help="print what that would cost")
    _add_sources(parser, "folder to write to; RESULTS/figures by default")
    asked = parser.parse_args(arguments)
    wanted = [recipes.find(name) for name in asked.names or recipes.names()]
    if asked.commands:
        _say("\n".join(recipes.commands(wanted, asked.results)))
    elif asked.cost:
        _say(cost_text(costs(wanted)) if any(recipe.experiment for recipe in wanted) else "benchmarks take minutes")
    elif not asked.names:
        _say("\n".join(f"{recipe.name:<24} {recipe.about}" for recipe in wanted))
    else:
        _draw(wanted, asked)


def _add_sources(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--out", type=Path, help=out)
    parser.add_argument("--against", choices=["published"], help="overlay the paper's numbers, with verdicts")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="only these models")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="only these tasks")
    parser.add_argument("--bench", nargs="+", type=Path, default=[], metavar="CSV", help="benchmarks to draw")


def _draw(wanted: Sequence[recipes.Recipe], asked: argparse.Namespace) -> None:
    out = asked.out or asked.results / "figures"
    drawn: list[Drawing] = []
    for recipe in wanted:
        sources = _sources(asked, () if asked.models else recipe.models, recipe)
        found = figures.find(recipe.figure).draw(sources)
        named = (replace(d, stem=d.stem.replace(recipe.figure, recipe.name, 1)) for d in found)
        written = save(named, out)
        if not written:
            raise InputError(
                f"nothing to draw for {recipe.name} in {asked.results}: its data lack what the figure shows"
            )
        drawn += written
    write_whole(out / "captions.md", captions(drawn))
    _say("\n".join(str(out / f"{drawing.stem}.pdf") for drawing in drawn))


def _sources(asked: argparse.Namespace, models: Sequence[str], recipe: recipes.Recipe | None = None) -> Sources:
    attention, generate = read_benchmarks(asked.bench or sorted(asked.results.glob("bench/*.csv")))
    if recipe is not None and recipe.benchmark:
        return Sources(None, None, attention, generate)
    results = load(asked.results).only(_split(asked.models), _split(asked.tasks))
    points = published() if asked.against else None
    return Sources(_recipe_part(results, models, recipe), points, attention, generate)


def _recipe_part(results: Results, models: Sequence[str], recipe: recipes.Recipe | None) -> Results:
    """The recipe's models, unless others were asked for. Raises InputError where they did not run."""
    missing = [model for model in models if model not in set(results.cells["model"])]
    if recipe is not None and missing:
        there = " ".join(sorted(set(results.cells["model"])))
        raise InputError(
            f"no results of {', '.join(missing)} here: `harness figures {recipe.name} --commands` prints what makes "
            f"them; to draw what is here, add --models {there}"
        )
    return results.only(models)


def _split(names: Sequence[str]) -> list[str]:
    return [part for name in names for part in name.split(",") if part]


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
