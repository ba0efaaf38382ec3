#!/usr/bin/env bash
# The browser side: wasm, styles and static files into one folder that `burnish serve --site-root` hands out.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
source .make/wasm-std.sh
unset LEPTOS_OUTPUT_NAME # leptos reads it while compiling and would then look for another file name
mkdir -p "$SITE/pkg"

say "Browser side: compiling"
CARGO_TARGET_DIR=$WASM_TARGET_DIR wasm_cargo build --locked -p app --lib --no-default-features --features hydrate --profile wasm
BUILT=$WASM_TARGET_DIR/wasm32-unknown-unknown/wasm/app.wasm

if newer "$SITE/pkg/burnish_bg.wasm" "$BUILT"; then
  say "Browser side: binding"
  # No wasm-opt: Debian's version writes modules that browsers refuse, and compressed its output was no smaller.
  STAGE=$(mktemp -d "$BURNISH_CACHE/bind.XXXXXX")
  trap 'rm -rf "$STAGE"' EXIT
  wasm-bindgen --target web --no-typescript --remove-name-section --remove-producers-section --out-name burnish --out-dir "$STAGE" "$BUILT"
  cp -r "$STAGE"/snippets "$SITE/pkg/" 2>/dev/null || true
  cp "$STAGE/burnish.js" "$SITE/pkg/burnish.js"
  cp "$STAGE/burnish_bg.wasm" "$SITE/pkg/burnish_bg.wasm"
  note "$(du -h "$SITE/pkg/burnish_bg.wasm" | cut -f1) of wasm, $(gzip -9 -c "$SITE/pkg/burnish_bg.wasm" | wc -c | awk '{printf "%d kB", $1 / 1000}') compressed"
fi

if newer "$SITE/pkg/burnish.css" style; then
  say "Styles"
  end2end/node_modules/.bin/esbuild style/main.css --bundle --minify --target=chrome123,firefox120,safari17.5 \
    '--external:../fonts/*' --log-level=warning --outfile="$SITE/pkg/burnish.css"
fi

if newer "$SITE/.public" public; then
  say "Static files"
  cp -r public/. "$SITE/"
  touch "$SITE/.public"
fi

# The engine that runs a model in the visitor's browser: a package of its own, so that the pages do not grow by it.
# Compiled for speed, with the vector instructions every browser of today has.
say "Browser's engine: compiling"
CARGO_TARGET_DIR=$WASM_TARGET_DIR/engine RUSTFLAGS='-C target-feature=+simd128 --cfg getrandom_backend="wasm_js"' \
  wasm_cargo build --locked -p engine --lib --profile engine
BUILT=$WASM_TARGET_DIR/engine/wasm32-unknown-unknown/engine/engine.wasm
if newer "$SITE/pkg/engine_bg.wasm" "$BUILT"; then
  ENGINE_STAGE=$(mktemp -d "$BURNISH_CACHE/bind.XXXXXX")
  trap 'rm -rf "${STAGE:-}" "$ENGINE_STAGE"' EXIT
  wasm-bindgen --target no-modules --no-typescript --remove-name-section --remove-producers-section --out-name engine --out-dir "$ENGINE_STAGE" "$BUILT"
  cp "$ENGINE_STAGE/engine.js" "$ENGINE_STAGE/engine_bg.wasm" "$SITE/pkg/"
  note "$(du -h "$SITE/pkg/engine_bg.wasm" | cut -f1) of wasm"
fi
