#!/bin/sh
# Brings new versions here, each whole before its name is one that a server takes for a version.
#   fetch.sh once       until there is one; for the start of a server
#   fetch.sh forever    every 30 s; beside the server
set -eu
fetch() {
  rclone lsf --recursive --files-only --include '/*/[0-9]*/assets.extra/manifest.json' "store:$BUCKET" |
    while read -r manifest; do
      version=${manifest%/assets.extra/manifest.json}
      [ -d "/models/$version" ] && continue
      staging="/models/.fetching-$(echo "$version" | tr / -)"
      rclone copy "store:$BUCKET/$version" "$staging"
      mkdir -p "/models/${version%/*}"
      mv "$staging" "/models/$version"
      echo "fetched $version"
    done
}
while true; do
  fetch
  if [ "$1" = once ] && ls /models/*/[0-9]*/saved_model.pb >/dev/null 2>&1; then exit 0; fi
  sleep 30
done
