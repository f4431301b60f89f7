# Hedgerow. `make help` lists what there is; ARGS="..." reaches the command a target ends in.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
ARGS ?=

# Targets depend on each other in order, so nothing here may run side by side.
.NOTPARALLEL:
.PHONY: help setup demo check test bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

# What it says goes to stderr, so that `make -s demo ARGS=--json` prints one JSON object.
setup: ## install system packages (needs root if any is missing) and the environment .venv
	@scripts/install-system-packages >&2
	@scripts/make-venv >&2

demo: setup ## bring up a small mesh in network namespaces and show what it may do (root)
	@$(BIN)/hedgerow demo $(ARGS)

check: setup ## lint, format, types, layers, style
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@scripts/check-style

# A tool that system tests need and that setup has not brought is an error here, not a skip: CI=1.
test: export CI ?= 1
test: check ## check, then unit tests side by side, then system tests one after another
	$(BIN)/pytest -q -n 2 -m 'not system' $(ARGS)
	$(BIN)/pytest -q -m system $(ARGS)

bench: setup ## run the benchmarks (root); ARGS=--list says which there are
	@$(BIN)/python -m bench $(ARGS)

clean: ## remove the environment and everything the tools left behind
	rm -rf .venv build dist *.egg-info .coverage .coverage.* htmlcov coverage.xml
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
