#!/usr/bin/env bash
# Times the tour of the starter model (LoRA steps) and a decode with this build, and the same with PyTorch, PEFT and
# transformers where pip can bring them. Side by side on one machine; never absolutes.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
[ -x "$BIN/burnish-worker" ] || die "build first: make build"
.make/starter.sh
export_starter
export BURNISH_WORKER=$BIN/burnish-worker
export MIMALLOC_PURGE_DELAY=50 # as the server starts its workers
WORK=$BURNISH_CACHE/bench
mkdir -p "$WORK"
if [ ! -f "$WORK/plain/model.safetensors" ]; then
  case $BURNISH_STARTER in
    *.gguf) "$BIN/examples/dense" "$BURNISH_STARTER" "$WORK/plain" ;;
    *) cp -r "$BURNISH_STARTER" "$WORK/plain" ;;
  esac
fi
say "Burnish ($(nproc) cores)"
node .make/bench.mjs "$WORK"
say "What a run takes, foreseen by measured: eight drawn settings, on an otherwise idle machine"
rm -rf "$WORK/foresee"
"$BIN/examples/foresee" "$BURNISH_WORKER" "$WORK/foresee" "${BENCH_SEED:-1}" 8
say "Data to tokens: health pass and preparation"
"$BIN/examples/data_speed" "$WORK/model" "$WORK" "${BENCH_ROWS:-200000}"

if [ -f "$WORK/kept/model.gguf" ]; then
  say "In the browser: this build's engine and wllama (llama.cpp), one thread each"
  WLLAMA=$WORK/npm/node_modules/@wllama/wllama
  if [ -d "$WLLAMA" ] || npm install --silent --no-save --prefix "$WORK/npm" @wllama/wllama@3.13.0 >"$WORK/npm.log" 2>&1; then
    node .make/bench_engine.mjs "$WORK" "$SITE" "$WLLAMA"
  else
    note "wllama could not be had here: $(tail -n 1 "$WORK/npm.log")"
  fi
  say "llama.cpp, the same file"
  LLAMA=$BURNISH_CACHE/bench-llama-venv
  [ -x "$LLAMA/bin/python" ] || python3 -m venv "$LLAMA"
  if "$LLAMA/bin/python" -c 'import xllamacpp' 2>/dev/null || timeout 300 "$LLAMA/bin/pip" install --quiet xllamacpp==2026.10.11549 </dev/null 2>"$WORK/pip.log"; then
    "$LLAMA/bin/python" .make/bench_llama.py "$WORK/kept/model.gguf" 2>/dev/null | tail -n 1
  else
    note "it could not be had here: $(tail -n 1 "$WORK/pip.log")"
  fi
fi

python_side "$WORK/pip.log" || exit 0
say "PyTorch"
"$VENV/bin/python" .make/bench.py "$WORK"
say "Hugging Face datasets.map, the same rows and tokenizer"
"$VENV/bin/python" .make/data_speed.py "$WORK/model" "$WORK"
