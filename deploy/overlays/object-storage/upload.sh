#!/bin/sh
# Uploads what the exporter has published; a version's manifest goes last. Directories without one are
# the names that names.sh made.
set -eu
models=${MODELS:-/models}
for manifest in "$models"/*/[0-9]*/assets.extra/manifest.json; do
  [ -e "$manifest" ] || { echo "there is no new version in $models" >&2; exit 1; }
  version=${manifest%/assets.extra/manifest.json}
  target="store:$BUCKET/${version#"$models"/}"
  rclone copy --immutable --exclude 'assets.extra/manifest.json' "$version" "$target"
  rclone copy --immutable "$version" "$target"
  echo "uploaded $target"
done
