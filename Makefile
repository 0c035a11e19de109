# make demo   train, prove, verify, and refuse a forgery; under 3 minutes
# make test   ruff, mypy and the quick tests; about ten minutes on two cores
# make test-all  the slow tests, too: fuzzing, long attacks, whole runs; under 20 minutes
# make bench  what the README shows, measured anew: about a quarter of an hour on two cores
# make docs   the documentation as a site in site/, which can be read offline
# All set up their own virtual environment with the versions of constraints.txt, once.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo check test test-all bench docs clean

demo: $(VENV)/.demo
	$(BIN)/python scripts/demo.py

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: check
	$(BIN)/python -m pytest -n auto --dist loadfile

bench: $(VENV)/.test
	ZKTRAIN_CALIBRATION=zktrain/cost/calibration.json $(BIN)/zktrain bench --calibrate
	ZKTRAIN_CALIBRATION=zktrain/cost/calibration.json $(BIN)/zktrain bench --suite readme --out benchmarks/results
	$(BIN)/python benchmarks/plot.py benchmarks/results/bench.json --docs docs/figures --table

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --clean
	@echo "written: site/index.html"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "zktrain needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv "$(VENV)"

$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS_$*)]"
	@touch $@

EXTRAS_demo := prove,demo
EXTRAS_test := test
EXTRAS_docs := docs

clean:
	rm -rf "$(VENV)" runs
