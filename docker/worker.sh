#!/usr/bin/env bash
# The workers of one machine. Short jobs, indexing, summaries and crawls have processes of their own, so that none
# waits for the others. When it is told to end, or one of them ends, all end.
set -uo pipefail
cd "$(dirname "$0")/.."

work() { # name, jobs at once, queues
  "${PYTHON:-python}" -m celery --quiet --app api.worker worker --pool gevent --hostname "$1@%h" --concurrency "$2" \
    --queues "$3" --without-gossip --without-mingle --without-heartbeat &
}

is_told=
trap 'is_told=yes; kill -TERM $(jobs -p) 2>/dev/null' TERM INT
work short 16 slipway.default,slipway.titles
work indexing 2 slipway.indexing
work summaries 2 slipway.summaries
work crawls 4 slipway.crawls

wait -n
status=$?
[ -n "$is_told" ] || kill -TERM $(jobs -p) 2>/dev/null
wait
[ -n "$is_told" ] && exit 0
exit "$status"
