#!/usr/bin/env bash
# The stories of end2end: each starts its own server on a free port with data of its own.
source "$(dirname "$0")/env.sh"
cd "$ROOT/end2end"
say "Stories in the browser"
export BURNISH_BIN=${BURNISH_BIN:-$BIN/burnish} BURNISH_WORKER=${BURNISH_WORKER:-$BIN/burnish-worker} BURNISH_SITE=${BURNISH_SITE:-$SITE}
export BURNISH_STARTER=${BURNISH_STARTER:-$STARTER/SmolLM2-135M-Instruct.Q4_1.gguf}
[ -f "$BURNISH_STARTER" ] || unset BURNISH_STARTER
mkdir -p test-results
exec node --test --test-concurrency=1 --test-reporter=spec "${@:-stories/*.test.mjs}"
