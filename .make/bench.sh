#!/usr/bin/env bash
# Times the tour of the starter model (LoRA steps) and a decode with this build, and the same with PyTorch, PEFT and
# transformers where pip can bring them. Side by side on one machine; never absolutes.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
[ -x "$BIN/burnish-worker" ] || die "build first: make build"
.make/starter.sh
export_starter
export BURNISH_WORKER=$BIN/burnish-worker
WORK=$BURNISH_CACHE/bench
mkdir -p "$WORK"
say "Burnish ($(nproc) cores)"
node .make/bench.mjs "$WORK"
say "Data to tokens: health pass and preparation"
"$BIN/examples/data_speed" "$WORK/model" "$WORK" "${BENCH_ROWS:-200000}"

python_side "$WORK/pip.log" || exit 0
say "PyTorch"
"$VENV/bin/python" .make/bench.py "$WORK"
say "Hugging Face datasets.map, the same rows and tokenizer"
"$VENV/bin/python" .make/data_speed.py "$WORK/model" "$WORK"
