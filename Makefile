# Everything a user or CI needs, in one place. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODIVA := $(BIN)/modiva
# TORCH_INDEX=URL takes torch from another index, say a CPU-only build.
TORCH_INDEX ?=
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help env audit test test-fast check notebooks bench gpu-report lock clean clean-runs

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(VENV)/.ready  ## make .venv and install everything from requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"modiva needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: make env PYTHON=/path/to/a/newer/python")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) $(shell grep '^torch==' requirements.lock))
	$(BIN)/python -m pip install --quiet --prefer-binary -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

audit: env  ## the main job: plant, train, invert, measure on the default corpus; prints where the report is
	$(MODIVA) audit

test: env  ## the whole test suite, offline
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

test-fast: env  ## the tests that are not marked slow
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow"

check: env  ## ruff, formatting, strict types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: env  ## run docs/notebooks and write what they show into them
	$(BIN)/python tests/test_notebooks.py

bench: env  ## speed ratios (A B A B, medians); installs the tools we compare with
	$(BIN)/python -m pip install --quiet -c requirements.lock -r tests/benchmarks/requirements.txt
	$(BIN)/python tests/benchmarks/bench_exhaustive.py
	$(BIN)/python tests/benchmarks/bench_stacks.py
	$(BIN)/python tests/benchmarks/bench_studies.py
	$(BIN)/python tests/benchmarks/bench_dp_step.py --opacus

gpu-report: env  ## run the tests and benchmarks on a GPU; writes gpu-report.md
	$(BIN)/python tests/benchmarks/gpu_report.py

lock:  ## write requirements.lock from what is installed in .venv
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+(cpu|cu[0-9]+)$$//' > requirements.lock

clean-runs:  ## remove results/runs, the results of audits and studies
	rm -rf results/runs

clean:  ## remove the environment and caches; results/runs stays (make clean-runs)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
