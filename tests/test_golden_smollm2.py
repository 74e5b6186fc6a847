"""The five tasks on the real SmolLM2 against the paper authors' own run (shared/golden/smollm2_reference.json)."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from golden_runs import ARGUMENTS, CELLS, METRIC, job
from harness.engine import Engine, Work
from harness.prepare import prepare
from harness.run import execute, missing
from harness.results.store import Store
from harness.tables import write_tables

pytestmark = pytest.mark.slow


@dataclass
class Done:
    """What a task gave: units in order, records by (unit, cell), rows of the scores, the engine."""

    prepared: object
    records: dict
    rows: object


@pytest.fixture(scope="module")
def engine(smollm2_model):
    torch.set_num_threads(2)
    yield Engine(smollm2_model)
    torch.set_num_threads(1)
