# make demo   sets up .venv and runs the main job on sample_data/
# make test   sets up .venv and runs all tests that need no system packages
# make lint   ruff and strict type checks
# make slow   the tests that take minutes
# make check  compares 1,000,000 lines with those of a plain Python script

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_FLAGS ?= -n auto

.PHONY: demo test lint format slow check clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint
	touch $@

demo: $(VENV)/.ready
	$(BIN)/aam-inbound convert sample_data/crm.toml
	@echo
	@echo "The first lines of what was written:"
	@gzip -dc "$$(ls -t out/*.sync.1.gz | head -n 1)" 2>/dev/null | head -n 3

test: $(VENV)/.ready
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

slow: $(VENV)/.ready
	$(BIN)/python -m pytest --slow

check: $(VENV)/.ready
	$(BIN)/python -m benchmarks check --rows 1000000

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out reports .pytest_cache .mypy_cache .ruff_cache .hypothesis
