# Two commands matter: `make demo` shows what this is, `make test` proves it. Each makes .venv as it needs it.
# Another interpreter: make demo PYTHON=python3.12

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
            $(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-full lint bench docs clean

help:
	@echo "make demo       program a real network into a simulated chip and write a report about it"
	@echo "make test       style, types, imports, tests"
	@echo "make test-full  the same with the slow statistical proofs"
	@echo "make bench      measure the speed"
	@echo "make docs       build the manual into site/"
	@echo "make lint       style, types and imports alone"
	@echo "make clean      remove .venv, caches and what was built; runs and chips stay"

demo: $(VENV)/.plain
	$(BIN)/labkit demo

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

test-full: lint
	$(PYTEST) -m "slow or not slow"

bench: $(VENV)/.plain
	$(BIN)/python benchmarks/run.py

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -rf .import_linter_cache
	find calibration drivers labkit tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# ---- the environment: a stamp per set of packages, renewed when pyproject.toml changes

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
	    echo "labkit needs Python 3.11 or newer, and none was found."; \
	    echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "labkit needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.plain: $(VENV)/.made pyproject.toml
	@echo "Installing labkit and the libraries it needs into $(VENV) (once; a minute or two) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "Installing labkit and what its tests need into $(VENV) (once; a minute or two) ..."
	@$(PIP) --editable ".[test]"
	@touch $(VENV)/.plain $@

$(VENV)/.docs: $(VENV)/.made pyproject.toml
	@echo "Installing labkit and what its manual needs into $(VENV) (once; a minute or two) ..."
	@$(PIP) --editable ".[docs]"
	@touch $(VENV)/.plain $@
