#!/usr/bin/env bash
# Clippy over every target, a check of the worker with CUDA, and clippy over what only the browser compiles; warnings are errors.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
cargo clippy "$@" --all-targets -- -D warnings
# The GPU's side builds without a GPU and without CUDA's toolkit.
cargo check "$@" --features worker/cuda --bins
source .make/wasm-std.sh
if wasm_std_there; then
  # Model, cache and sampling speak in the browser, too: without threads.
  CARGO_TARGET_DIR=$WASM_TARGET_DIR cargo check --locked -p model --lib --no-default-features --target wasm32-unknown-unknown
  CARGO_TARGET_DIR=$WASM_TARGET_DIR cargo clippy --locked -p app --lib --no-default-features --features hydrate --target wasm32-unknown-unknown -- -D warnings
fi
