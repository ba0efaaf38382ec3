# make serve: everything from a clone to a running studio. make test: every check. Both may be repeated at will.
# Everything built or fetched lies under BURNISH_CACHE, outside the clone; people's data under BURNISH_DATA.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export BURNISH_CACHE ?= $(HOME)/.cache/burnish
export BURNISH_DATA ?= $(HOME)/.local/share/burnish
export BURNISH_PORT ?= 7860
export CARGO_TARGET_DIR := $(BURNISH_CACHE)/target
export PATH := $(HOME)/.cargo/bin:$(PATH)
export BURNISH_REFERENCE ?= $(abspath ../shared/reference)
export BURNISH_REAL ?= $(abspath ../shared/real)

BIN := $(CARGO_TARGET_DIR)/debug
export BURNISH_BIN := $(BIN)/burnish
export BURNISH_WORKER := $(BIN)/burnish-worker
export BURNISH_SITE := $(BURNISH_CACHE)/site

# One style of cargo call (whole workspace, dev profile), so that no dependency is ever built twice.
WORKSPACE := --workspace --locked

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what building and testing need (Debian; skips what is there)
	@.make/setup.sh

.PHONY: binaries
binaries:
	@echo "== Server and worker: compiling"
	@cargo build $(WORKSPACE) --bins --examples # with examples cargo picks the features the tests have: burn is built once

.PHONY: site
site:
	@.make/site.sh

.PHONY: build
build: binaries site ## Server, worker and browser side

.PHONY: starter
starter: ## Fetch and check the starter model (93 MB)
	@.make/starter.sh

.PHONY: serve
serve: ## Set up, build and run Burnish at http://127.0.0.1:7860
	@.make/setup.sh serve
	@$(MAKE) build
	@.make/starter.sh || echo "   Going on without the starter model: other models can be imported, and models trained from scratch."
	@exec .make/serve.sh

.PHONY: fmt
fmt: ## Check the formatting (make format mends it)
	@echo "== Formatting"
	@cargo fmt --all --check

.PHONY: format
format: ## Format all Rust files
	@cargo fmt --all

.PHONY: lint
lint: ## Clippy over every target, warnings are errors
	@echo "== Lints"
	@.make/lint.sh $(WORKSPACE)

.PHONY: unit
unit: ## Tests of every crate
	@echo "== Tests"
	@.make/unit.sh $(WORKSPACE)

.PHONY: cases
cases: binaries ## Inputs from reports of other tools (where ../shared/cases is there)
	@.make/cases.sh

.PHONY: e2e
e2e: build ## Stories in a real browser against the real server and worker
	@.make/e2e.sh

.PHONY: test
test: ## Every check, fast ones first; seconds of each part, and what passed
	@.make/test.sh setup fmt lint unit cases e2e

.PHONY: reference
reference: ## The numbers of the originals: reference sets against model, corpus and worker
	@.make/reference.sh $(WORKSPACE)

.PHONY: gpu-check
gpu-check: ## On a machine with an NVIDIA GPU: recorded runs, LoRA and QLoRA on 1.1 billion weights
	@.make/gpu-check.sh

.PHONY: bench
bench: ## Speed and memory beside the Python stack, on this machine
	@.make/bench.sh

.PHONY: interop
interop: binaries ## Adapters and merged models in PEFT and transformers: the same logits; curves in TensorBoard
	@.make/interop.sh

.PHONY: soak
soak: binaries ## What takes longer than a test: parsers fed at random (SOAK=10 minutes), searches beside a launch, large uploads
	@.make/soak.sh $(WORKSPACE)

.PHONY: clean
clean: ## Remove what was built (keeps data, the starter model and downloads)
	rm -rf "$(BURNISH_CACHE)/target" "$(BURNISH_CACHE)/target-wasm" "$(BURNISH_CACHE)/site" end2end/node_modules end2end/test-results
