#!/bin/sh
# Writes the secrets of the environment into files that nobody else reads; `secrets.sh remove` takes them away again.
# They are never arguments: printf is a part of the shell.
set -eu
if [ "${1-}" = remove ]; then
  rm -rf secrets keys/*.key
  exit
fi
for name in TREEWRIGHT_KEYS DEPLOY_KEY DEPLOY_KNOWN_HOSTS; do
  eval "[ -n \"\${$name-}\" ]" || { echo "secrets.sh: $name is not set for this job" >&2; exit 1; }
done
umask 077
mkdir -p keys secrets
printf %s "$TREEWRIGHT_KEYS" | base64 -d | tar -xzf - -C keys
printf %s "$DEPLOY_KEY" | base64 -d >secrets/deploy_key
printf '%s\n' "$DEPLOY_KNOWN_HOSTS" >secrets/known_hosts
