# make demo: train and evaluate peg insertion in the twin.  make test: every check.  make help: the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(VENV)/.torch
TASK ?= peg_insert
RUN ?= runs/demo
QUICK ?=

.PHONY: help setup perception demo test test-long lint bench clean distclean

help:
	@echo "make demo       train $(TASK) over the ROS 2 graph in the twin, evaluate it, report (again: goes on)"
	@echo "make test       lint, types and all tests        make test-long  the tests that take minutes"
	@echo "make bench      every figure of the README       make bench QUICK=1  a shorter version"
	@echo "make perception torch and backbones, for policies that see through frozen features"
	@echo "make lint       ruff and mypy alone              make clean      remove what was built (distclean: all)"

setup: $(READY)

$(READY): pyproject.toml constraints.txt tools/install.sh tools/genmsg.py $(shell find interfaces -type f)
	@bash tools/install.sh $(VENV)
	@touch $@

# Frozen image backbones, for --obs features: the tests need them, the demo does not.
perception: $(TORCH)

$(TORCH): $(READY)
	@echo "setup: installing robot_rl[perception] into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --use-pep517 --constraint constraints.txt --editable ".[perception]"
	@touch $@

# Ctrl-C ends the run cleanly; the same command goes on with it.
demo: $(READY)
	@$(BIN)/robot-rl train $(TASK) --run $(RUN) $$([ ! -e $(RUN)/config.yaml ] || echo --resume)
	@$(BIN)/robot-rl eval $(RUN) --episodes 100 --seed 1

test: lint
	@$(BIN)/python -m pytest -q -m "not long and not serial" --numprocesses auto --dist loadfile
	@$(BIN)/python -m pytest -q -m "not long and serial"

test-long: $(TORCH)
	@$(BIN)/python -m pytest -q -m long

lint: $(TORCH)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(TORCH)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

clean:
	@rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV) .jax_cache
