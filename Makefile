# Two targets need nothing but Python 3.11 or newer (and, for the Neo4j part of `test`, Java 17 or newer
# with Maven): `make quickstart` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt
# The Python that makes the environment: of these names the first that is 3.11 or newer.
PYTHON ?= python3 python3.13 python3.12 python3.11 python
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help quickstart install test lint types clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

quickstart: $(VENV)/.installed ## install, then run everything once: load, train, write back, search
	$(BIN)/naics-graph quickstart

install: $(VENV)/.installed ## only install, into .venv

# As many processes as cores, four at most, with a thread each; in huge pages, as `train` takes its memory.
test: export OMP_NUM_THREADS ?= 1
test: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
test: $(VENV)/.installed-dev lint types ## check everything, Neo4j included
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

lint: $(VENV)/.installed-dev ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## types, tests included
	$(BIN)/mypy

clean: ## remove the environment, build products and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@found=""; \
	for candidate in $(PYTHON); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "naics-graph needs Python 3.11 or newer; tried: $(PYTHON)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
	  exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
	  echo "No virtual environment could be made with $$found: is its venv module installed (Debian: python3-venv)?" >&2; \
	  rm -rf $(VENV); exit 1; \
	}

$(VENV)/.installed: $(INPUTS) | $(BIN)/python
	$(PIP) -e '.[weights]'
	touch $@

$(VENV)/.installed-dev: $(INPUTS) | $(BIN)/python
	$(PIP) -e '.[weights,neo4j,dev]'
	touch $@ $(VENV)/.installed
