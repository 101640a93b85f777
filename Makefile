# Everything a fresh machine with Python 3.11 and make needs. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test fuzz soak check format tables bench bench-table clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(STAMP) ## create .venv with what uv.lock pins; leaves .venv/bin/region-router

$(STAMP): pyproject.toml uv.lock
	@echo "installing into .venv (first run only) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact --all-extras --python $(BIN)/python
	@touch $(STAMP)

demo: $(STAMP) ## five fake regions, a temporary directory and the gateway on 127.0.0.1:8080; Ctrl-C ends it
	@$(BIN)/region-router demo

test: $(STAMP) ## the whole test suite
	$(BIN)/python -m pytest -q -n auto

fuzz: $(STAMP) ## mutated requests and answers through a real gateway, for FUZZ_SECONDS (300); FUZZ_SEED repeats a run
	@$(BIN)/python -m tests.fuzz

soak: $(STAMP) ## a gateway at half load while all around it fails, for SOAK_SECONDS (300): what is left at the end?
	@$(BIN)/python -m tests.soak

check: $(STAMP) ## ruff, mypy --strict, import-linter, the lock file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/uv lock --check --quiet

format: $(STAMP) ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

tables: $(STAMP) ## write the tables that repeat code into the README
	$(BIN)/python -m tests.docs.readme_tables

bench: $(STAMP) ## compare with Envoy, nginx, HAProxy, Caddy and aiohttp (8 minutes; as root it installs what is missing)
	$(BIN)/python -m tests.bench.install
	$(BIN)/python -m tests.bench

bench-table: $(STAMP) ## write the figures of the last `make bench` into the README
	$(BIN)/python -m tests.bench table

clean: ## remove .venv and everything that was built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
