# setup, demo, test and check each work alone on a fresh clone; the others make the environment when it is missing.
.PHONY: setup demo test test-quick check format fuzz fuzz-histories fuzz-memory clean

VENV := .venv
# The first interpreter that is new enough; another can be named: make setup PYTHON=/opt/python/bin/python3
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# One process per processor, each with servers of its own; on a server that is named (TEST_DATABASE_URL), one after the other.
PYTEST := $(VENV)/bin/pytest --numprocesses=$(if $(TEST_DATABASE_URL),0,auto) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

setup: $(VENV)/.complete

$(VENV)/.complete: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make setup PYTHON=…" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make an environment; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup
	@$(VENV)/bin/stonescriptdb-gateway demo

test: setup
	$(PYTEST) $(TESTS)

# What needs no PostgreSQL and little time: less than a minute in all.
test-quick: setup
	$(PYTEST) -m "not server and not slow" $(TESTS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTEST) $(TESTS)

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Tens of thousands of hostile inputs, in less than half an hour: make fuzz FUZZ="--seed 7 --requests 1000"
fuzz: setup
	$(VENV)/bin/python -m tests.fuzz $(FUZZ)

# Random histories of schemas: make fuzz-histories FUZZ="--count 200 --write /tmp/failing my-schema.tar.gz"
fuzz-histories: setup
	$(VENV)/bin/python -m tests.fuzz.histories $(FUZZ)

fuzz-memory: setup
	$(VENV)/bin/python -m tests.fuzz --memory

clean:
	rm -rf $(VENV) build dist *.egg-info .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis
