#!/usr/bin/env bash
# Clippy over every target, and over what only the browser compiles; warnings are errors.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
cargo clippy "$@" --all-targets -- -D warnings
source .make/wasm-std.sh
if wasm_std_there; then
  # Model, cache and sampling speak in the browser, too: without threads.
  CARGO_TARGET_DIR=$WASM_TARGET_DIR cargo check --locked -p model --lib --no-default-features --target wasm32-unknown-unknown
  CARGO_TARGET_DIR=$WASM_TARGET_DIR cargo clippy --locked -p app --lib --no-default-features --features hydrate --target wasm32-unknown-unknown -- -D warnings
fi
