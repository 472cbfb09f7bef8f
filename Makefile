# make demo     does all the set-up and shows the main job: a burst, a failover, two reboots
# make test     does all the set-up and runs every test; a laboratory that cannot run is a failure
# make test-vm  clients by L2TP in an emulated machine, whose kernel has what it takes; some minutes, needs qemu-system-x86
# make check    style, types, imports and the quick tests: no privileges, no daemon, in less than a minute
# make soak     bursts, moves, crashes, kills and cuts at random under probes, MINUTES=1, SEED=… to repeat one
# make fuzz     coverage-guided fuzzing of every decoder, SECONDS=60 of each
# make bench    the table of figures, ours beside the peer's; SMOKE=1 for a short run
.PHONY: help setup demo test test-vm lint check soak fuzz bench clean
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

# The emulated machine is slow: what is compiled beforehand it need not compile.
test-vm: setup
	@$(BIN)/python -m compileall -q src tests
	@tools/vm/run 1200 $(CURDIR)/$(BIN)/python -m pytest -p tests.plugins.lab_required -p no:cacheprovider \
	  tests/lab/test_kernel_ipsec.py

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
	@for each in event segment record state exported submission boot_line beacon traces; do \
	  $(BIN)/python -m tests.fuzz.guided $$each --seconds $(or $(SECONDS),60) || exit 1; done

bench: setup
	@$(AS_ROOT) $(BIN)/python -m bench $(if $(SMOKE),--smoke) $(BENCH_ARGS)

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
