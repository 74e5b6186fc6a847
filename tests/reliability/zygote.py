"""A process that has imported everything and forks one `harness` per line of input, so that kills cost no start-up.

Each line is a JSON list of arguments; the answer is the child's process id. A child leads a process group of its own.
"""

import json
import os
import sys


def main():
    """Fork for each line; children run the command line and exit with its code."""
    import torch

    import harness.jobs.run  # noqa: F401
    from harness.__main__ import main as command
    from harness.results import files

    torch.set_num_threads(1)
    for line in sys.stdin:
        given = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            if given["crumbs"]:  # many small writes: more moments at which a kill tears a file
                files._write_all = _crumbs
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            os._exit(command(given["arguments"]))
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _crumbs(descriptor, data):
    for start in range(0, len(data), 16):
        os.write(descriptor, data[start : start + 16])


if __name__ == "__main__":
    main()
