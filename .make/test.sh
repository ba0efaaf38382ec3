#!/usr/bin/env bash
# The parts of `make test` in turn, fast ones first: the seconds each took, and at the end how many tests and stories
# passed.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
HEARD=$(mktemp)
trap 'rm -f "$HEARD"' EXIT
TOOK=
for part in "$@"; do
  began=$SECONDS
  make "$part" 2>&1 | tee -a "$HEARD"
  TOOK+="${TOOK:+, }$part $((SECONDS - began))"
done
say "Seconds: $TOOK"

# What cargo-nextest, cargo test, the cases and Node's runner say of what passed; a part that fails has ended this script.
PASSED=$(awk '
  /tests? run: [0-9]+ passed/ { for (i = 2; i <= NF; i++) if ($i ~ /^passed/) sum += $(i - 1) }
  /^[0-9]+ passed, 0 failed$/ { sum += $1 }
  /^test result: ok\. [0-9]+ passed/ { sum += $4 }
  /^ℹ pass [0-9]+/ { sum += $3 }
  END { print sum + 0 }' "$HEARD")
echo "$PASSED passed, 0 failed"
