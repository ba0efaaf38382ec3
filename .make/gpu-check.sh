#!/usr/bin/env bash
# Builds the worker with CUDA and lets it check the GPU; says so and succeeds where there is none. The binary it
# names needs nothing else: copy it and a reference folder to another machine and run it there.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
say "Worker with CUDA: compiling"
cargo build --locked -p worker --features cuda --bins
reference=${BURNISH_REFERENCE:-$ROOT/../shared/reference}
arguments=()
if [ -d "$reference/train" ]; then arguments=(--reference "$reference"); fi
say "$BIN/burnish-worker gpu-check ${arguments[*]}"
exec "$BIN/burnish-worker" gpu-check "${arguments[@]}"
