"""What nothing may call: it leaves a file, which the environment names, as a sign that code ran."""

import logging
import os
from pathlib import Path


def sing(*_, **__):
    """Leave the sign; takes whatever a target is called with."""
    Path(os.environ["CANARY"]).touch()


class Handler(logging.Handler):
    """A handler of logging that sings when it is made."""

    def __init__(self, *_, **__):
        super().__init__()
        sing()
