#!/bin/sh
# Before the exporter: an empty directory for each version of the bucket, whole or not, so that
# --model_version=auto takes the number after them.
set -eu
models=${MODELS:-/models}
objects=$(mktemp)
rclone lsf --recursive --files-only "store:$BUCKET" >"$objects"
sed -n 's,^\([^/]*/[0-9][0-9]*\)/.*,\1,p' "$objects" | sort -u | while read -r version; do
  mkdir -p "$models/$version"
done
