#!/usr/bin/env bash
# All Rust tests: cargo-nextest where it is installed (one process a test), cargo test otherwise.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
export_starter
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run "$@" --no-fail-fast ${CI:+--profile ci}
  exec cargo test --quiet --doc "$@"
fi
exec cargo test --quiet "$@"
