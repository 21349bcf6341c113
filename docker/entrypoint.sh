#!/bin/sh
# What a container does: serve (and migrate before), worker, beat, or any command of `python -m api.cli`.
set -eu
cd "$(dirname "$0")/.."
case "${1:-serve}" in
  serve) exec python -m api.cli start ;;
  worker) exec docker/worker.sh ;;
  beat) exec python -m celery --quiet --app api.worker beat --pidfile= --schedule /tmp/celerybeat-schedule ;;
  *) exec python -m api.cli "$@" ;;
esac
