#!/usr/bin/env bash
# Runs the built server on this machine's own address; `make serve` builds first.
source "$(dirname "$0")/env.sh"
DATA=${BURNISH_DATA:-$HOME/.local/share/burnish}
PORT=${BURNISH_PORT:-7860}
export BURNISH_WORKER=${BURNISH_WORKER:-$BIN/burnish-worker}
export_starter
mkdir -p "$DATA"
say "Burnish is starting at http://127.0.0.1:$PORT (data in $DATA; Ctrl-C stops it, runs go on)"
exec "$BIN/burnish" serve --data-dir "$DATA" --site-root "$SITE" --listen "127.0.0.1:$PORT"
