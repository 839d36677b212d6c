#!/bin/sh
# Uploads what the exporter has published; a version's manifest goes last.
set -eu
for version in /models/*/[0-9]*; do
  target="store:$BUCKET/${version#/models/}"
  rclone copy --immutable --exclude 'assets.extra/manifest.json' "$version" "$target"
  rclone copy --immutable "$version" "$target"
  echo "uploaded $target"
done
