# Two commands do all set-up themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Threads that wait sleep instead of spinning: on a shared machine, spinning slows all of them.
export OMP_WAIT_POLICY ?= passive
# Lightning's processes share the cores as they are.
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test lint bench clean

demo: $(INSTALLED)  ## translate, train and evaluate in the micro world
	$(BIN)/speechalign demo

test: $(INSTALLED)  ## all tests, offline
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report= --cov-fail-under=95

lint: $(INSTALLED)  ## style, types, and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(INSTALLED)  ## solver and loader beside their peers, kept frames, a corpus and scores of full size, translation, hours of sound, a server
	$(BIN)/python -m recipes.benchmarks.solver
	$(BIN)/python -m recipes.benchmarks.loader
	$(BIN)/python -m recipes.benchmarks.epoch
	$(BIN)/python -m recipes.benchmarks.index
	$(BIN)/python -m recipes.benchmarks.scoring
	$(BIN)/python -m recipes.benchmarks.translating
	$(BIN)/python -m recipes.benchmarks.hours
	$(BIN)/python -m recipes.benchmarks.serving

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "speechalign needs Python 3.11 or later: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

clean:  ## remove the environment
	rm -rf $(VENV)
