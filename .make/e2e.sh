#!/usr/bin/env bash
# The stories of end2end: each starts its own server on a free port with data of its own.
source "$(dirname "$0")/env.sh"
cd "$ROOT/end2end"
say "Stories in the browser"
export BURNISH_BIN=${BURNISH_BIN:-$BIN/burnish} BURNISH_WORKER=${BURNISH_WORKER:-$BIN/burnish-worker} BURNISH_SITE=${BURNISH_SITE:-$SITE}
export_starter
mkdir -p test-results
[ $# -gt 0 ] || set -- stories/*.test.mjs
exec node --test --test-concurrency=1 --test-reporter=spec "$@"
