#!/bin/sh
# demo.sh BIN: the main job once, on a data root of its own: up, a real request, ps, down.
set -eu
bin=$1
cd "$(dirname "$0")"
root=$(mktemp -d /tmp/gantry-demo.XXXXXX)
export GANTRY_DATA_ROOT="$root/data" GANTRY_RUN_ROOT="$root/run" HELLO_PORT="${HELLO_PORT:-8080}"
compose="$bin/compose"

finish() {
  status=$?
  [ $status = 0 ] || "$compose" logs || true
  "$compose" down -v --timeout 2 || status=1
  "$bin/gantry" daemon stop || status=1
  rm -rf "$root"
  exit $status
}
trap finish EXIT

say() { printf '\n$ %s\n' "$*"; }

say compose up -d --wait --build
"$compose" up -d --wait --build
say curl "http://127.0.0.1:$HELLO_PORT/"
curl -fsS "http://127.0.0.1:$HELLO_PORT/"
say compose ps -a
"$compose" ps -a
say compose down -v
