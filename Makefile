# Every target sets up what it needs; `make setup` alone does the same.
.PHONY: setup run laptop test check format docs bench clean bootstrap plan deploy validate contract
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
LINT_VENV := .venv-lint
LINT_STAMP := $(LINT_VENV)/.stamp
ARGS ?=

# Two reference systems with their alarms on this machine: traffic, a fault, a page, its end.
run: $(STAMP)
	$(BIN)/python -m deploy.run $(ARGS)

# A shell with an AWS of its own, for trying the commands below as ENV=laptop; `exit` ends both.
laptop: $(STAMP)
	@$(BIN)/python -m deploy.laptop $(ARGS)

# One environment of deploy/environments.toml: make plan ENV=dev, make deploy ENV=prod ARGS=--yes. Each is explained by
# .venv/bin/python -m deploy --help; contract runs the migrations that drop what the release before still needed.
bootstrap plan deploy validate contract: $(STAMP)
	@test -n "$(ENV)" || { echo "make $@: say which environment: make $@ ENV=dev (they are in deploy/environments.toml)" >&2; exit 2; }
	@$(BIN)/python -m deploy $@ "$(ENV)" $(ARGS)

test: $(STAMP) $(LINT_STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

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

# Ratios within one run: commands, the simulator beside promtool, the loader beside psql, the generator and the API. ARGS are those
# of the first.
bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)
	$(BIN)/python -m tests.bench_simulate
	$(BIN)/python -m tests.bench_loader
	$(BIN)/python -m tests.bench_notification
	$(BIN)/python -m tests.bench_oncall
	$(BIN)/python -m tests.bench_review

setup: $(STAMP) $(LINT_STAMP)

# The lock names exact versions for every supported Python and platform, so two machines build the same.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] >= (3, 11) else "Tocsin needs Python 3.11 or newer: make PYTHON=python3.13 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once; a minute or so) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# checkov, parliament and cloudsplaining: they ask for another boto3 than the embedded AWS, so they live by themselves.
$(LINT_STAMP): requirements-lint.lock | $(STAMP)
	@test -x $(LINT_VENV)/bin/python || $(PYTHON) -m venv $(LINT_VENV)
	@echo "Setting up $(LINT_VENV), the tools that judge templates and policies (once; half a minute or so) …"
	@$(LINT_VENV)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --requirement requirements-lint.lock
	@touch $@

clean:
	rm -rf $(VENV) $(LINT_VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
