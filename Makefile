# The only door: every target sets up what it needs. `make help` lists them.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find protos -name '*.proto') protos/hatch_build.py client/steward/aio.py client/steward/aio_export.py
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup run demo test coverage check bench bench-rivals faults clean lock

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-19s %s\n", $$1, $$2}'

$(VENV)/ready: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Steward needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -c .ci/constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/generated

$(VENV)/generated: $(VENV)/ready $(SOURCES)
	@echo "generating ..."
	@$(PIP) install --no-deps -e .
	@touch $@

setup: $(VENV)/generated ## set up .venv with all that the other targets need

run: setup ## serve on 127.0.0.1:50051, data in ./steward-data
	@$(BIN)/stewardd serve

demo: setup ## a fresh server, 100 recorded interactions, their figures
	@$(BIN)/python -m stewardd.demo

test: setup ## the tests, two at a time
	@$(BIN)/python -m pytest -n 2 --dist worksteal -q

coverage: setup ## the tests, and which lines and branches they reach; half as long again
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered -q

check: setup ## format, lint, types, contracts of imports and protos
	@$(BIN)/ruff format --check --diff .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint protos
	@$(BIN)/buf format protos --diff --exit-code

bench: setup ## speed, as JSON lines with ratios against baselines of the same run
	@$(BIN)/python -m tests.benchmarks

bench-rivals: setup ## a record beside Langfuse and Arize Phoenix; once, installs them from PyPI into build/rivals, 0.9 GB
	@$(BIN)/python -m tests.benchmarks.rivals

faults: setup ## the long fault tests: some hundred cycles each of kill -9, cuts and full disks under load
	@STEWARD_FAULT_CYCLES=100 STEWARD_RECORDERS=10000 $(BIN)/python -m pytest tests/faults tests/test_backup_policy.py tests/test_recorder_ends.py -q -s -p no:randomly --timeout=3600

lock: ## take the newest dependencies into .ci/constraints.txt
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip --disable-pip-version-check --quiet install -e '.[dev,otlp,prometheus]'
	@build/lock/bin/pip freeze --exclude-editable --exclude pip --exclude setuptools > .ci/constraints.txt

clean: ## remove all that was set up or made
	@rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache client/steward/v1 client/steward/client.py client/steward/client_export.py
