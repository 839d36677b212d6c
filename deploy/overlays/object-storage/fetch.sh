#!/bin/sh
# Keeps /models as the bucket is: brings new versions, each whole and with the digests of its manifest
# before its name is one that a server takes for a version, and removes those that are gone.
#   fetch.sh once       until there is one; for the start of a server
#   fetch.sh forever    every 30 s; beside the server
set -eu
models=${MODELS:-/models}
manifest=assets.extra/manifest.json
listing=$(mktemp)
digests=$(mktemp)

# Usage: whole DIRECTORY. The manifest has a line "PATH": "sha256:DIGEST" for each file.
whole() {
  sed -n 's/^ *"\(.*\)": "sha256:\([0-9a-f]\{64\}\)",\{0,1\}$/\2  \1/p' "$1/$manifest" >"$digests"
  [ -s "$digests" ] && (cd "$1" && sha256sum -c "$digests" >/dev/null 2>&1)
}

bring() {
  staging="$models/.fetching-$(echo "$1" | tr / -)"
  if ! rclone sync "store:$BUCKET/$1" "$staging" || ! whole "$staging"; then
    echo "$1 did not arrive whole; the next look tries again" >&2
    rm -rf "$staging"
    return 0
  fi
  mkdir -p "$models/${1%/*}"
  mv "$staging" "$models/$1"
  echo "fetched $1"
}

look() {
  # A listing that fails says nothing of what is gone, and an empty one, as of a wrong name, too little.
  rclone lsf --recursive --files-only --include "/*/[0-9]*/$manifest" "store:$BUCKET" >"$listing" ||
    return 0
  [ -s "$listing" ] || return 0
  sed "s,/$manifest\$,," "$listing" | while read -r version; do
    [ -d "$models/$version" ] || bring "$version"
  done
  for directory in "$models"/*/[0-9]*; do
    version=${directory#"$models"/}
    [ -d "$directory" ] || continue
    grep -qxF "$version/$manifest" "$listing" && continue
    gone="$models/.gone-$(echo "$version" | tr / -)"
    mv "$directory" "$gone"
    rm -rf "$gone"
    echo "removed $version"
  done
}

while true; do
  look
  if [ "$1" = once ] && ls "$models"/*/[0-9]*/saved_model.pb >/dev/null 2>&1; then exit 0; fi
  sleep "${FETCH_SECONDS:-30}"
done
