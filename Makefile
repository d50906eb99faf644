# Two commands: `make demo` shows the main job, `make test` proves the rest. Both set up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-clients test-faults lint bench fuzz dist clean

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: $(READY) lint
	$(BIN)/pytest -n auto --dist worksteal

# Real clients from npm and PyPI, about 3 GB in the user's cache, or in what ORGGUARD_CLIENTS names.
test-clients: $(READY)
	$(BIN)/python -m tests.clients.clients
	$(BIN)/pytest tests/clients -m clients

# Hundreds of kills of a database and those who use it: minutes.
test-faults: $(READY)
	$(BIN)/pytest tests/test_shared_faults.py tests/test_hosted_faults.py -m faults

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The standing corpus is fetched on the first run.
bench: $(READY)
	$(BIN)/python bench/established.py
	$(BIN)/python bench/against_git_grep.py

# Coverage-guided; TARGET is one of bench/fuzz.py's.
TARGET ?= decode
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python bench/fuzz.py $(TARGET) -max_total_time=300 -max_len=4000 -timeout=20

# What a release uploads; docs/distribution.md says where.
dist: $(READY)
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist
	$(BIN)/python mcpb/pack.py dist

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
