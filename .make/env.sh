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

# The Python stack to compare with, pinned, in an environment of its own ($VENV). False where it cannot be had.
python_side() {
  VENV=$BURNISH_CACHE/bench-venv
  if [ ! -x "$VENV/bin/python" ] && ! python3 -m venv "$VENV" 2>"$1"; then
    note "python3-venv is missing; the Python side is left out."
    return 1
  fi
  local pins; pins=$(grep -c '==' "$ROOT/.make/python.txt")
  if [ "$("$VENV/bin/pip" freeze 2>/dev/null | grep -cxFf <(grep '==' "$ROOT/.make/python.txt"))" != "$pins" ]; then
    say "Fetching torch, transformers, peft, datasets and tensorboard for the comparison (once)"
    timeout 900 "$VENV/bin/pip" install --quiet -r "$ROOT/.make/python.txt" </dev/null 2>"$1" || {
      note "they could not be had here: $(tail -n 1 "$1")"
      note "the comparison with Python is left out."
      return 1
    }
  fi
}

# Where the starter model lies: the checked GGUF file, else a folder from the hub; prints nothing when there is none.
starter_path() {
  local name=$STARTER/SmolLM2-135M-Instruct
  if [ -f "$name.Q4_1.gguf" ]; then printf '%s' "$name.Q4_1.gguf"; elif [ -f "$name/model.safetensors" ]; then printf '%s' "$name"; fi
}

# The server and the tests learn of the starter model through BURNISH_STARTER, unset where there is none.
export_starter() {
  export BURNISH_STARTER=${BURNISH_STARTER:-$(starter_path)}
  [ -n "$BURNISH_STARTER" ] && [ -e "$BURNISH_STARTER" ] || unset BURNISH_STARTER
  case ${BURNISH_STARTER:-} in *.gguf) export BURNISH_STARTER_GGUF=$BURNISH_STARTER ;; esac
}
