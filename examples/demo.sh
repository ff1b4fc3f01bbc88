#!/usr/bin/env bash
# The fan day in half a minute: a node on a temporary directory, the plan of
# fans-day.yaml with seconds to pay instead of minutes (so that releases and
# resales show), 200,000 fans at 10,000 a second, and a verdict.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
doorbuster=${DOORBUSTER:-$here/bin/doorbuster}
fans=${FANS:-200000}
rate=${RATE:-10000}
work=$(mktemp -d "${TMPDIR:-/tmp}/doorbuster-demo-XXXXXX")

node=
finish() {
  status=$?
  if [ -n "$node" ] && kill -0 "$node" 2>/dev/null; then
    kill -TERM "$node" && wait "$node" || true
  fi
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

sed -e 's/pay_within: 15m/pay_within: 4s/' -e 's/pay_grace: 2m/pay_grace: 0s/' "$here/examples/fans-day.yaml" >"$work/plan.yaml"

# Ports of the system's choice, so that a node of yours is not in the way.
"$doorbuster" serve --dev --data "$work/data" --http 127.0.0.1:0 --admin 127.0.0.1:0 --log-format json 2>"$work/node.log" &
node=$!
for _ in $(seq 200); do
  serving=$(grep -m1 '"msg":"serving"' "$work/node.log" || true)
  [ -n "$serving" ] && break
  kill -0 "$node" 2>/dev/null || { cat "$work/node.log" >&2; exit 1; }
  sleep 0.05
done
http=$(sed -E 's#.*"shoppers":"http://([^"]+)".*#\1#' <<<"$serving")
admin=$(sed -E 's#.*"operators":"http://([^"]+)".*#\1#' <<<"$serving")
echo "a node serves shoppers at http://$http and operators at http://$admin"
echo
"$doorbuster" apply -f "$work/plan.yaml" --admin "$admin"
echo
echo "$fans fans come at $rate a second"
status=0
"$doorbuster" bench rush --addr "$http" --admin "$admin" --shoppers "$fans" --rate "$rate" --settle 20s --json "$work/rush.json" \
  --listing fans-day-10/mask-50=4 --listing fans-day-10/earbuds-2=3 --listing fans-day-10/lamp-desk=2 --listing fans-day-10/mug-fans=1 || status=$?
kill -TERM "$node" && wait "$node"
node=
echo
"$doorbuster" wal verify "$work/data"
cat <<END

where to look:
  $work/rush.json   the whole report
  $work/node.log    what the node said
  $doorbuster wal dump $work/data | less
  $doorbuster serve --dev --data $work/data   # the same shop again, at 127.0.0.1:8080 and :8081
END
exit $status
