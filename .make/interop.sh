#!/usr/bin/env bash
# Opens what Burnish writes with PEFT, transformers and TensorBoard: a LoRA adapter and a merged model of every family
# must have the logits they have here, and TensorBoard must find the numbers of the log.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
[ -x "$BIN/examples/interop" ] || die "build first: make build"
WORK=$BURNISH_CACHE/interop
rm -rf "$WORK" && mkdir -p "$WORK"
python_side "$WORK/pip.log" || exit 0
say "Adapters and merged models: PEFT and transformers beside Burnish (largest difference of a logit)"
"$BIN/examples/interop" "$WORK/files"
"$VENV/bin/python" .make/interop.py "$WORK/files"
say "Tokenizers: what stands around a text, in transformers' AutoTokenizer and here"
"$BIN/examples/around" "$WORK/tokenizers"
"$VENV/bin/python" .make/around.py "$WORK/tokenizers"
say "TensorBoard: the event files of a run that was killed and resumed, beside its log"
"$BIN/examples/event_files" "$WORK/run"
"$VENV/bin/python" .make/event_files.py "$WORK/run"
