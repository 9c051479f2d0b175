# Two commands are enough on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
EXTRAS ?= dev
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint bench conformance clean

# A virtual environment with keenkite in it; made again when the dependencies change.
$(VENV)/.$(EXTRAS): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "keenkite needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

demo: $(VENV)/.$(EXTRAS)
	$(BIN)/keenkite demo --folder demo

# What a change must not break; `make test-all` runs the slow ones too.
test: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m pytest

lint: $(VENV)/.$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# About 25 minutes on two cores; each file can be run alone. Two of them also measure real data
# where it is named: make bench VECTORS=remoteclip.npz EUROSAT=eurosat.zip
bench: $(VENV)/.$(EXTRAS)
	for file in strips vector_engine encode gpu search_cost server demo_search pointing spans; do \
	    echo "== $$file"; $(BIN)/python benchmarks/$$file.py || exit 1; done
	$(BIN)/python benchmarks/tiny_model.py $(if $(EUROSAT),--eurosat $(EUROSAT))
	$(if $(VECTORS),$(BIN)/python benchmarks/scoring.py $(VECTORS))

# The official MCP conformance suite and inspector; needs Node 20 or newer with npm.
conformance: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m tests.server.conformance.run

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
