#!/usr/bin/env bash
# What takes longer than a test may: the property tests of everything that reads what people bring, over and over with
# other values each time, and the hostile files through the server. SOAK: minutes (10).
source "$(dirname "$0")/env.sh"
cd "$ROOT"
export_starter
FILTER='test(/s27_|r11_|r12_/)'
say "Soak: property tests of the parsers for ${SOAK:-10} minutes"
end=$((SECONDS + 60 * ${SOAK:-10}))
rounds=0
cargo nextest run "$@" --no-run
until [ "$SECONDS" -ge "$end" ]; do
  cargo nextest run "$@" --no-fail-fast --status-level fail --final-status-level fail -E "$FILTER" </dev/null
  rounds=$((rounds + 1))
done
note "$rounds rounds without a failure"
export BURNISH_BIN=${BURNISH_BIN:-$BIN/burnish} BURNISH_WORKER=${BURNISH_WORKER:-$BIN/burnish-worker} BURNISH_SITE=${BURNISH_SITE:-$ROOT/public}
say "Soak: searches beside a launch"
node end2end/soak/busy.mjs
say "Soak: large uploads"
node end2end/soak/upload.mjs
