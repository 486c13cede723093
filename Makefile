# Every target sets up what it needs; `make setup` alone does the same.
.PHONY: setup run test check format docs bench clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
ARGS ?=

# Two reference systems with their alarms on this machine: traffic, a fault, a page, its end.
run: $(STAMP)
	$(BIN)/python -m deploy.run $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

# Format, lint, types, and drift of everything generated: templates, alarms, dashboards, documents.
check: $(STAMP)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m deploy.render --check
	$(BIN)/tocsin check
	$(BIN)/python -m docs.reference --check
	$(BIN)/python -m docs.picture --check

format: $(STAMP)
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

docs: $(STAMP)
	$(BIN)/python -m docs.reference
	$(BIN)/python -m docs.picture

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

setup: $(STAMP)

# The lock names exact versions for every supported Python and platform, so two machines build the same.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] >= (3, 11) else "Tocsin needs Python 3.11 or newer: make PYTHON=python3.13 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once; a minute or so) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
