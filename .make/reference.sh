#!/usr/bin/env bash
# The recorded numbers of the originals against model, corpus and worker; says so where a set is missing.
source "$(dirname "$0")/env.sh"
cd "$ROOT"
export_starter
exec cargo test "$@" --test reference
