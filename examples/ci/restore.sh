#!/bin/sh
# restore.sh HOST DIR [tuf]: makes the release directory DIR what HOST has published, which the next release continues;
# with `tuf` its metadata alone. HOST is a directory, or one of another machine as rsync writes it, user@host:path.
set -eu
host=${1%/} dir=${2%/} part=${3+$3/}

mkdir -p "$dir/$part"
# What is here already, such as from a cache, is not fetched again; what the host has not goes.
rsync -rlt --delete --exclude=/.treewright.lock "$host/$part" "$dir/$part"
if [ ! -f "$dir/tuf/timestamp.json" ]; then
  echo "restore.sh: nothing is published in $host; publish the first release by hand" >&2
  exit 1
fi
cp "$dir/tuf/timestamp.json" "$dir.published"
