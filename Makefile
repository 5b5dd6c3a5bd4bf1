# Everything a newcomer needs: `make search` finds a topology, `make test` runs the tests, `make ui` shows the runs.
# The first call sets up .venv; later calls skip that until pyproject.toml or constraints.txt change.

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup search test chaos check settings docs bench ui clean

help:
	@echo "make search   run runs/quick.toml: a real search, 2 to 3 minutes on two cores"
	@echo "make ui       browse the runs in MLflow, on localhost"
	@echo "make test     run the tests"
	@echo "make chaos    run a search among faults, round after round: a quarter of an hour"
	@echo "make check    ruff and mypy"
	@echo "make settings write SETTINGS.md, the page about every setting"
	@echo "make docs     build a site of the documents and of every public name in build/site"
	@echo "make bench    measure the engine against other ways to do its work"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "evofabric needs Python 3.11 or newer, and $(PYTHON) is not installed" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "evofabric needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V): try make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing: on Debian, apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

search: $(READY)
	@$(PY) -m evofabric search runs/quick.toml

# Three processes, because many tests wait; the tests of a file stay in one, so that what they share is made once.
test: $(READY)
	@$(PY) -m pytest --numprocesses 3 --dist loadfile

chaos: $(READY)
	@$(PY) -m tests.chaos

check: $(READY)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

settings: $(READY)
	@$(PY) -m evofabric settings > SETTINGS.md

docs: $(READY)
	@$(PY) -m tests.site

bench: $(READY)
	@$(PY) -m tests.benchmarks

ui: $(READY)
	@$(PY) -m evofabric ui

clean:
	rm -rf .venv
