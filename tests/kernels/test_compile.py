"""The interpreter takes more than the compiler does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import harness.kernels

HERE = Path(__file__).parent
FOLDER = Path(harness.kernels.__file__).parent
DEVICE_CODE = [*FOLDER.rglob("triton.py"), *FOLDER.rglob("triton/*.py")]
WRITTEN = "".join(file.read_text(encoding="utf-8") for file in DEVICE_CODE)


def test_every_kernel_compiles_for_hopper_without_a_gpu():
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, HERE / "compiling.py"], capture_output=True, text=True, check=False, env=plain
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) == set(re.findall(r"^def (\w+_kernel)\(", WRITTEN, re.MULTILINE))
