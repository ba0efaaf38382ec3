# Sourced by every script here: where things lie and how they speak. Needs bash.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export BURNISH_CACHE=${BURNISH_CACHE:-$HOME/.cache/burnish}
export CARGO_TARGET_DIR=$BURNISH_CACHE/target
export npm_config_cache=$BURNISH_CACHE/npm
export PATH=$HOME/.cargo/bin:$PATH
WASM_TARGET_DIR=$BURNISH_CACHE/target-wasm
SITE=$BURNISH_CACHE/site
STARTER=$BURNISH_CACHE/starter
BIN=$CARGO_TARGET_DIR/debug
mkdir -p "$BURNISH_CACHE" "$STARTER"

say() { printf '== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'make: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# newer A B...: true when A is missing or any of B (files or folders) is newer than A.
newer() {
  local made=$1; shift
  [ -e "$made" ] || return 0
  [ -n "$(find "$@" -newer "$made" -print -quit 2>/dev/null)" ]
}
