# xfer's commands. Everything runs from .venv, which is made on first use.
PYTHON ?= python3
BIN := .venv/bin
KERNEL := $(wildcard xfer/wire/*.py xfer/zone/block.py xfer/zone/snapshot.py xfer/zone/build.py \
                     xfer/zone/check.py xfer/zone/image.py xfer/zone/cut.py \
                     xfer/zone/changeset.py xfer/zone/deltas.py xfer/zone/order.py xfer/zone/apply.py \
                     xfer/zone/zonemd.py \
                     xfer/answer/denial.py xfer/answer/nsec3.py xfer/answer/online.py \
                     xfer/answer/sections.py \
                     xfer/answer/lookup.py xfer/answer/respond.py xfer/answer/plain.py \
                     xfer/answer/kept.py xfer/answer/fast.py \
                     xfer/dnssec/content.py xfer/dnssec/rrsig.py xfer/dnssec/portion.py \
                     xfer/dnssec/ring.py xfer/dnssec/hashed.py xfer/dnssec/expiry.py)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types bench answers edits signed-edits rollovers kill kill-edits kill-signing bind-lab bind-lab-up bind-lab-down bind-lab-logs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/deps: pyproject.toml setup.py
	bind-lab/install build
	$(PYTHON) -m venv .venv
	XFER_PURE=1 $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv/kernel: .venv/deps $(KERNEL)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

demo: .venv/kernel ## a zone travels BIND → xfer → BIND, signed on both hops
	bind-lab/install lab
	$(BIN)/python bind-lab/demo

test: .venv/kernel ## all tests, the kernel compiled, and again with the kernel pure
	bind-lab/install lab peers
	$(BIN)/python -m tests.forms $(ARGS)

check: lint types test ## lint, types and tests: what CI runs

lint: .venv/deps ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/deps ## mypy --strict
	$(BIN)/mypy

bench: .venv/kernel ## xfer beside BIND, Knot and NSD: one table (ARGS='--only latency', ixfr, zones: changes; answers, replacing: queries; signing)
	bind-lab/install peers
	$(BIN)/python -m tests.bench $(ARGS)

answers: .venv/kernel ## 200,000 queries to xfer, BIND, Knot and NSD: what differs, and whether proofs hold
	bind-lab/install peers
	$(BIN)/python -m tests.answers $(ARGS)

edits: .venv/kernel ## 500 edits, one each 100 ms, through xfer to BIND, Knot and NSD; twice
	bind-lab/install lab peers
	EDITS=500 $(BIN)/pytest -s tests/interop/test_edits.py $(ARGS)

signed-edits: .venv/kernel ## 300 edits of unsigned zones for each denial, signed by xfer, validated at each secondary
	bind-lab/install lab peers
	SIGNED_EDITS=300 $(BIN)/pytest -s tests/interop/test_live_signed.py $(ARGS)

rollovers: .venv/kernel ## ten years of each kind of key rollover, and each wait left out (ARGS='--years 2 --seeds 1')
	$(BIN)/python -m tests.rollovers $(ARGS)

kill: .venv/kernel ## kill -9 the daemon 50 times and more in a pull, at least 5 times in each phase
	bind-lab/install peers
	$(BIN)/python -m tests.kill $(ARGS)

kill-edits: .venv/kernel ## kill -9 the daemon 200 times in a run of edits; then lose unsynced writes
	bind-lab/install peers
	$(BIN)/python -m tests.kill --edits --times 200 $(ARGS)
	$(BIN)/python -m tests.kill --lost-writes --times 300 $(ARGS)

kill-signing: .venv/kernel ## kill -9 the daemon 100 times while a zone is signed and its keys roll every few seconds
	bind-lab/install peers
	$(BIN)/python -m tests.kill --signing --times 100 $(ARGS)

bind-lab: .venv/deps ## build the BIND image
	bind-lab/install lab
	$(BIN)/python bind-lab/lab image

bind-lab-up: .venv/kernel ## start a BIND primary and secondary; prints dig lines to try
	bind-lab/install lab
	$(BIN)/python bind-lab/lab up

bind-lab-logs: ## what both have logged
	@$(BIN)/python bind-lab/lab logs

bind-lab-down: ## stop both
	$(BIN)/python bind-lab/lab down

clean: ## remove .venv, build products and whatever the lab left running (its image stays)
	-$(PYTHON) bind-lab/lab clean
	rm -rf .venv build dist *.egg-info *.so xfer/_kernel.json .mypy_cache .pytest_cache .ruff_cache \
	    .hypothesis
	find xfer tests bind-lab -name __pycache__ -prune -exec rm -rf {} +
	find xfer -name '*.so' -delete
