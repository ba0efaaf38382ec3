#!/usr/bin/env bash
# Inputs that other tools stumbled over, where they lie beside the clone: each on the real server and worker.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
CASES=${BURNISH_CASES:-$ROOT/../shared/cases}
if [ ! -f "$CASES/try.py" ] || ! command -v python3 >/dev/null; then
  say "Inputs of other tools' reports: not here, passed over"
  exit 0
fi
say "Inputs of other tools' reports"
exec env -u BURNISH_DATA python3 "$CASES/try.py" "$CASES" --burnish "${BURNISH_BIN:-$BIN/burnish}" --worker "${BURNISH_WORKER:-$BIN/burnish-worker}" --all
