# `make` lists the targets. Each works from a fresh clone; whatever it needs is installed first,
# into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
JOBS ?= auto
TESTS ?= tests

python := .venv/bin/python
ready := .venv/.ready

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(ready) ## Run the Django demo: web server and worker on SQLite (ONCE=1: without a person)
	@$(python) examples/django_demo/run.py $(if $(ONCE),--once)

.PHONY: setup
setup: $(ready) ## Create .venv with the package and all tools (PYTHON=... chooses the Python)

$(ready): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON='$(PYTHON)' scripts/setup.sh
	@touch $@

.PHONY: check
check: lint types layers ## Everything that needs no server, in under a minute: lint, types, layers, fast tests
	$(python) -m pytest -q -n $(JOBS) -m 'not redis and not slow' \
	    tests/architecture $(wildcard tests/unit tests/learn)

.PHONY: lint
lint: $(ready) ## Check style and formatting
	$(python) -m ruff check .
	$(python) -m ruff format --check .

.PHONY: format
format: $(ready) ## Format the code and fix what can be fixed by machine
	$(python) -m ruff check --fix-only .
	$(python) -m ruff format .

.PHONY: types
types: $(ready) ## Check the types of the package
	$(python) -m mypy

.PHONY: layers
layers: $(ready) ## Check which module may import which
	.venv/bin/lint-imports --no-logo

.PHONY: services
services: ## Install the server programs that the tests start (apt; never starts a service)
	@$(or $(wildcard $(python)),python3) scripts/services.py

.PHONY: test
test: $(ready) services ## Run all tests but chaos, on real servers (TESTS=path, JOBS=n)
	$(python) -m pytest -n $(JOBS) --ignore=tests/chaos $(TESTS)

.PHONY: chaos
chaos: $(ready) services ## Run the tests that kill workers and servers
	$(if $(wildcard tests/chaos/test_*.py),,$(error tests/chaos holds no tests))
	$(python) -m pytest tests/chaos

.PHONY: bench
bench: $(ready) services .venv-bench/.ready ## Measure against bare loops and peers (BENCH="--quick --only redis")
	$(python) bench/run.py $(BENCH)

# The peers, in an environment of their own; without them only bare loops are compared.
.venv-bench/.ready: bench/peers.txt
	-$(python) -m venv .venv-bench && .venv-bench/bin/pip install --quiet -r bench/peers.txt
	@touch $@

.PHONY: docs
docs: $(ready) ## Write again what is generated: docs/settings.md, the types of app.conf
	$(python) -m umbel.app.settings > .venv/settings.md && mv .venv/settings.md docs/settings.md
	$(python) -m umbel.app.settings fields > .venv/fields.py && \
	    mv .venv/fields.py src/umbel/app/settings_table/fields.py

.PHONY: clean
clean: ## Remove everything that the other targets created
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
