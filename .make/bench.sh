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

VENV=$BURNISH_CACHE/bench-venv
if [ ! -x "$VENV/bin/python" ]; then python3 -m venv "$VENV" || die "python3-venv is missing; the Python side is skipped."; fi
if ! "$VENV/bin/python" -c 'import torch, transformers, peft' 2>/dev/null; then
  say "Fetching torch, transformers and peft for the comparison (once)"
  timeout 900 "$VENV/bin/pip" install --quiet torch transformers peft </dev/null 2>"$WORK/pip.log" || {
    note "they could not be had here: $(tail -n 1 "$WORK/pip.log")"
    note "the comparison with Python is left out."
    exit 0
  }
fi
say "PyTorch"
"$VENV/bin/python" .make/bench.py "$WORK"
if "$VENV/bin/python" -c 'import datasets' 2>/dev/null || timeout 300 "$VENV/bin/pip" install --quiet datasets </dev/null 2>>"$WORK/pip.log"; then
  say "Hugging Face datasets.map, the same rows and tokenizer"
  "$VENV/bin/python" .make/data_speed.py "$WORK/model" "$WORK"
fi
