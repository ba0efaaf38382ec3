# Sourced: which Rust compiles the browser side. rustup's where it has a standard library for wasm32, else Debian's
# rustc-web, which ships the library's source, so that cargo can build it.
wasm_std_there() {
  [ -z "${BURNISH_WASM_BUILD_STD:-}" ] || return 1
  [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ]
}

debian_rustc() { dpkg -L rustc-web 2>/dev/null | grep -E '/bin/rustc(-web)?$' | head -n 1 || true; }

debian_rustc_there() {
  local rustc; rustc=$(debian_rustc)
  [ -n "$rustc" ] && [ -x "$rustc" ] && [ -f "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

# wasm_cargo ARGS...: cargo for the browser side, with whatever the compiler found above needs.
wasm_cargo() {
  if wasm_std_there; then cargo "$@" --target wasm32-unknown-unknown; return; fi
  debian_rustc_there || die "no standard library for wasm32-unknown-unknown; make setup says how to get one."
  local linker
  linker=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -print -quit)
  [ -n "$linker" ] || linker=$(command -v wasm-ld || ls /usr/bin/wasm-ld-* 2>/dev/null | tail -n 1)
  RUSTC=$(debian_rustc) RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
    cargo "$@" -Zbuild-std=std,panic_abort --target wasm32-unknown-unknown
}
