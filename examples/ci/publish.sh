#!/bin/sh
# publish.sh DIR HOST [tuf]: uploads the release directory DIR; with `tuf` its metadata alone. HOST as for restore.sh.
#
# Whatever leads to a file is uploaded after the file, so that a client sees the previous release or the new one whole.
# rsync replaces each file by a rename. Stopped anywhere, run it again.
set -eu
dir=${1%/} host=${2%/} part=${3-}

# What was published when this directory was restored, or published last. Another publisher in between must not lose.
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
status=0
rsync -q "$host/tuf/timestamp.json" "$old/" 2>"$old/message" || status=$?
# 23: the source is not there. 3: nor is the directory that it should be in.
case $status in
  0 | 3 | 23) ;;
  *) cat "$old/message" >&2; exit "$status" ;;
esac
for file in "$old/timestamp.json" "$dir.published"; do [ -e "$file" ] || : >"$file"; done
if ! cmp -s "$old/timestamp.json" "$dir.published" && ! cmp -s "$old/timestamp.json" "$dir/tuf/timestamp.json"; then
  echo "publish.sh: $host has another release than the one that $dir continues; restore it and release again" >&2
  exit 1
fi

copy() { rsync -rlt --chmod=D755,F644 --exclude=/.treewright.lock "$@"; }
# Files of few bytes that are replaced: compared by content, and renamed together at the end.
replace() { copy --checksum --delay-updates --relative "$@"; }

if [ "$part" != tuf ]; then
  # 1. What nothing leads to yet: objects, deltas, releases, blobs.
  copy --exclude=/tuf --exclude=/ostree/refs --exclude=/ostree/tmp --exclude='/ostree/summary*' \
    --exclude=/apps/index.json "$dir/" "$host/"
  # 2. What OSTree clients start from.
  replace "$dir/./ostree/refs" "$dir"/./ostree/summary* "$host/"
  # 3. Apps by name.
  [ ! -e "$dir/apps/index.json" ] || replace "$dir/./apps/index.json" "$host/"
fi
# 4. What TUF clients start from, and last of all the file that leads to it.
replace --exclude=timestamp.json "$dir/./tuf" "$host/"
replace "$dir/./tuf/timestamp.json" "$host/"
cp "$dir/tuf/timestamp.json" "$dir.published"

# 5. Deltas that nothing names any more, after what has named them.
if [ "$part" != tuf ]; then
  for name in delta-indexes delta-stats deltas; do
    [ ! -d "$dir/ostree/$name" ] || copy --delete "$dir/ostree/$name/" "$host/ostree/$name/"
  done
fi
