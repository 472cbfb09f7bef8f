# make demo   does all the set-up and shows the main job: a burst, a failover, two reboots
# make test   does all the set-up and runs every test; a laboratory that cannot run is a failure
# make check  style, types, imports and the quick tests: no privileges, no daemon, in less than a minute
# make soak   bursts, moves, crashes, kills and cuts at random under probes, MINUTES=1, SEED=… to repeat one
# make fuzz   coverage-guided fuzzing of every decoder, SECONDS=60 of each
# make bench  the table of figures, ours beside the peer's; SMOKE=1 for a short run
.PHONY: help setup demo test lint check soak fuzz bench clean
.DEFAULT_GOAL := help

BIN := .venv/bin
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup:
	@tools/setup.sh

demo: setup
	@$(BIN)/vpcrouter lab demo

test: setup
	@tools/test.sh

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint
	$(BIN)/python -m pytest -n auto -m "not lab and not slow"

soak: setup
	@$(AS_ROOT) $(BIN)/vpcrouter lab soak --minutes $(or $(MINUTES),1) $(if $(SEED),--seed $(SEED))

fuzz: setup
	@for each in event segment record state exported submission boot_line beacon; do \
	  $(BIN)/python -m tests.fuzz.guided $$each --seconds $(or $(SECONDS),60) || exit 1; done

bench: setup
	@$(AS_ROOT) $(BIN)/python -m bench $(if $(SMOKE),--smoke) $(BENCH_ARGS)

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
