"""The command line: `harness COMMAND ...`. Each command is imported only when it is called."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence

from harness.errors import InputError, RunError

USAGE = """Evaluate decode-time KV-cache techniques: what they move, and what they lose.

  harness run experiment=quickstart     five tasks x six methods on the embedded model
  harness run model=... task=...        one job; arguments go to Hydra (key=value, -m, --cfg job, --help)
  harness list                          models, methods with their knobs, tasks, experiments
  harness status results/               what is done, missing or failed, and how long the rest will take
  harness plan experiment=paper_grid    what a sweep will cost, before it runs
  harness report results/               tables, figures and an interactive page of all runs
  harness figures fig-tradeoff          one figure; without a name, the list
  harness bench attention | generate    time per decode step, of attention alone or of a whole model
  harness lm-eval run --model harness ...   lm-eval's own command line with our model class

Results go to results/: summary.csv joins all runs. README.md leads to a first result in five minutes.
"""


EXTRAS = {"matplotlib": "report", "plotly": "report", "jinja2": "report", "triton": "gpu"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 a run failed, 2 the input was wrong, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"run": _run, "list": _list, "status": _status, "plan": _plan, "report": _report}
    commands |= {"figures": _figures, "bench": _bench, "lm-eval": _lm_eval}
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    if given[0] not in commands:
        return _fail(f"unknown command '{given[0]}': choose from {', '.join(commands)}", 2)
    return guarded(commands[given[0]], given[1:])


def guarded(command: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    """Call a command; whatever it raises for the user becomes one sentence on standard error. Returns the exit code."""
    try:
        command(arguments)
    except InputError as error:
        return _fail(str(error), 2)
    except RunError as error:
        return _fail(str(error), 1)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        return _fail(f"{error.name} is not installed: pip install 'harness[{extra}]'", 2)
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, the same command goes on from there", 130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail("the disk is full; what was finished is kept: free some space and run the same command again", 1)
    return 0


def _run(arguments: Sequence[str]) -> None:
    from harness.commands.compose import run

    run(arguments)


def _list(arguments: Sequence[str]) -> None:
    if arguments:
        raise InputError("`harness list` takes no arguments")
    from harness.commands.list import catalog

    sys.stdout.write(catalog())


def _status(arguments: Sequence[str]) -> None:
    from harness.store.status import status_command

    status_command(arguments)


def _plan(arguments: Sequence[str]) -> None:
    from harness.commands.compose import plan

    plan(arguments)


def _report(arguments: Sequence[str]) -> None:
    from harness.commands.report import report_command

    report_command(arguments)


def _figures(arguments: Sequence[str]) -> None:
    from harness.commands.report import figures_command

    figures_command(arguments)


def _bench(arguments: Sequence[str]) -> None:
    from harness.commands.bench import bench_command

    bench_command(arguments)


def _lm_eval(arguments: Sequence[str]) -> None:
    from harness.evaluation.lm_eval_model import run_lm_eval

    run_lm_eval(arguments)


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"harness: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
