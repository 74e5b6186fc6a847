"""Writes the tables of docs/methods.md: what each method is, costs and holds, and how it did where it was run.

python scripts/write_methods.py                    # from the catalogue and docs/methods/*.csv
python scripts/write_methods.py NAME=results ...   # first keeps what the page shows of some results, as NAME.csv there
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from marked import replaced

from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget, Method
from harness.methods.cost import Stack

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "methods.md"
SCRIPT = "write_methods.py"
LAYERS = (LayerShape(8, 128, group=4),) * 32
TOKENS, RATIO = 8192, 4
DIVERGENCE = ("kl", "agreement", "accepted_4")
"""Columns that say how far a method is from dense, step by step, one number per task."""
KEPT = [
    *"task method params ratio compression memory_compression cost metric value stderr n delta_dense".split(),
    *"kl agreement lost accepted_2 accepted_4 accepted_8".split(),
]


def main() -> None:
    """Keep the results that are named, then write the page's tables anew."""
    for name, folder in (argument.split("=", 1) for argument in sys.argv[1:]):
        keep(name, Path(folder))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def keep(name: str, results: Path) -> None:
    """Keep the columns of a results folder's table that the page shows."""
    table = pd.read_csv(results / "summary.csv")
    (DOCS / "methods").mkdir(exist_ok=True)
    table[KEPT].round(5).to_csv(DOCS / "methods" / f"{name}.csv", index=False)


def page(text: str) -> str:
    """Return the page with all its tables made anew: each stands between a comment that names it and the next."""
    text = replaced(text, "what each is and costs", SCRIPT, costs())
    for file in sorted((DOCS / "methods").glob("*.csv")):
        text = replaced(text, f"how each did: {file.stem}", SCRIPT, scores(pd.read_csv(file)))
    return text


def costs() -> str:
    """Make a line per method of its family, what it does, and its cost at a quarter of dense's bytes."""
    lines = ["| method | what a step does | source | choose | attend | write | held |", "|---|---|---|---|---|---|---|"]
    for name in sorted(methods.runnable(), key=lambda name: (methods.facts(name)["family"], name)):
        cls = methods.find(name)
        source = cls.about.paper.cite if cls.about.paper else "control"
        cells = " | ".join(_shares(name))
        lines.append(f"| `{name}` | {_summary(name)} | {source} | {cells} |")
    return "\n".join(lines)


def scores(table: pd.DataFrame) -> str:
    """Make a line per method and ratio, with the score of each task and the compression that was reached.

    What stands in DIVERGENCE has a number for each task, in their order, where the run was compared with dense.
    """
    asked = table["ratio"].fillna(1)
    table = table.assign(asked=asked, score=[_score(row) for _, row in table.iterrows()])
    tasks = list(dict.fromkeys(table["task"]))
    names = [f"{task} ({table[table['task'] == task]['metric'].iloc[0]})" for task in tasks]
    shown = [column for column in DIVERGENCE if column in table]
    heads = ["method", "asked", "reached", "by", *names, *shown]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    groups = [(str(method), ratio, group) for (method, ratio), group in table.groupby(["method", "asked"])]
    for method, ratio, group in sorted(groups, key=lambda of: (not methods.find(of[0]).is_dense, *of[:2])):
        of_tasks = group.drop_duplicates("task").set_index("task").reindex(tasks)
        apart = [" · ".join(_number(value) for value in of_tasks[column]) for column in shown]
        cells = " | ".join([*of_tasks["score"].fillna(""), *apart])
        lines.append(f"| `{method}` | {ratio:g} | {_reached(group)} | {group['cost'].iloc[0]} | {cells} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    """Write a number to three digits, "-" where there is none."""
    return "-" if pd.isna(value) else f"{value:.3g}"


def _reached(group: pd.DataFrame) -> str:
    """Write the compression on the tasks, as a range where they differ by more than rounding."""
    least, most = group["compression"].min(), group["compression"].max()
    return f"{least:.2f}" if most - least < 0.05 else f"{least:.2f} to {most:.2f}"


def _score(row: Any) -> str:
    """Write a score with its standard error, and the difference to dense."""
    text = f"{row['value']:.3f} ± {row['stderr']:.3f}"
    return text if pd.isna(row["delta_dense"]) else f"{text} ({row['delta_dense']:+.3f})"


def _summary(name: str) -> str:
    """Return the first sentence of a method's docstring, and its note."""
    text = (inspect.getdoc(methods.find(name)) or "").split("\n\n")[0].replace("\n", " ")
    note = methods.find(name).about.note
    return (f"{text} Note: {note}." if note else text).replace("|", "\\|")


def _shares(name: str) -> list[str]:
    """Write what a method reads to choose and to attend, writes and holds, each as a share of dense's bytes."""
    dense = Stack(LAYERS).dense(TOKENS)
    try:
        method = _solved(name)
    except InputError:
        return ["cannot reach it", "", "", ""]
    cost = Stack(LAYERS).cost(method, TOKENS)
    moved = [share / dense.moved for share in (cost.choose, cost.attend, cost.write)]
    return [f"{share:.2%}" for share in [*moved, cost.held / dense.held]]


def _solved(name: str) -> Method[Any]:
    """Return the method at the page's ratio; dense, and a method without a free knob, as it is."""
    if not methods.open_knobs(name, {}):
        return methods.create(name)
    return methods.solve(name, Budget(RATIO, TOKENS, LAYERS))


if __name__ == "__main__":
    main()
