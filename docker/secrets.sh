#!/usr/bin/env bash
# Makes docker/.env with the secrets of compose.scale.yaml, each drawn at random. Never changes one that is there.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
touch .env
for name in SECRET_KEY POSTGRES_PASSWORD REDIS_PASSWORD WEAVIATE_API_KEY; do
  grep -q "^$name=" .env || printf '%s=%s\n' "$name" "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >> .env
done
echo "The secrets are in $(pwd)/.env; keep a copy: without SECRET_KEY stored credentials cannot be read."
