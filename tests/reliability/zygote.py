"""A process that has imported everything and forks one `harness` per line of input, so that kills cost no start-up.

Each line of input is JSON: the arguments, whether files are written in crumbs, and the seconds of processor time after
which the kernel ends the child, as kill -9 would: nothing of the child's own runs any more. Each line of output is the
child's exit code and the processor time it took.
"""

import json
import os
import signal
import sys


def main():
    """Fork for each line; children run the command line and exit with its code."""
    import torch

    import harness.sweep.run  # noqa: F401
    from harness.__main__ import main as command
    from harness.store import files

    torch.set_num_threads(1)
    for line in sys.stdin:
        given = json.loads(line)
        child = os.fork()
        if child == 0:
            if given["crumbs"]:  # many small writes: more moments at which a kill tears a file
                files._write_all = _crumbs
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            signal.setitimer(signal.ITIMER_PROF, given["seconds"])
            os._exit(command(given["arguments"]))
        _, status, used = os.wait4(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime}\n")
        sys.stdout.flush()


def _crumbs(descriptor, data):
    for start in range(0, len(data), 16):
        os.write(descriptor, data[start : start + 16])


if __name__ == "__main__":
    main()
