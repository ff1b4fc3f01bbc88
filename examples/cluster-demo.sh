#!/usr/bin/env bash
# Three nodes in two machine rooms, on one machine, in half a minute: a rush
# against a follower, kill -9 of the leader in the middle, and a verdict on what
# every shopper was told. Then the killed node comes back.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
doorbuster=${DOORBUSTER:-$here/bin/doorbuster}
fans=${FANS:-32000}
rate=${RATE:-2500}
kill_after=${KILL_AFTER:-7s}
work=$(mktemp -d "${TMPDIR:-/tmp}/doorbuster-cluster-XXXXXX")
nodes="a1 a2 b1"
declare -A zone=([a1]=a [a2]=a [b1]=b) http admin peer pid

finish() {
  status=$?
  trap '' INT TERM
  # All at once: a cluster that is going away elects nobody any more.
  for id in $nodes; do [ -z "${pid[$id]:-}" ] || kill -TERM "${pid[$id]}" 2>/dev/null || true; done
  for _ in $(seq 200); do
    left=
    for id in $nodes; do [ -z "${pid[$id]:-}" ] || ! kill -0 "${pid[$id]}" 2>/dev/null || left=yes; done
    [ -n "$left" ] || break
    sleep 0.1
  done
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# The nodes must know each other's addresses before they start. They are held for as
# long as this script's end of the pipe is open.
coproc ports { "$doorbuster" bench ports 9; }
address() { read -r "$1" <&"${ports[0]}"; }

members=
for id in $nodes; do
  address "http[$id]"
  address "admin[$id]"
  address "peer[$id]"
  members+="    - {id: $id, zone: ${zone[$id]}, peer: \"${peer[$id]}\"}"$'\n'
done

start() {
  # A process group of its own: the terminal's Ctrl-C is for the rush.
  set -m
  "$doorbuster" serve --dev --config "$work/$1.yaml" 2>>"$work/$1.log" &
  pid[$1]=$!
  disown "${pid[$1]}" # or bash would tell of its end
  set +m
}

# await_leader waits until a node that is up names a leader, and prints it.
await_leader() {
  for _ in $(seq 300); do
    for id in "$@"; do
      leader=$("$doorbuster" cluster status --admin "${admin[$id]}" --output json 2>/dev/null |
        sed -nE 's/^ *"leader": "([^"]+)".*/\1/p' | head -1) || leader= # a node that is not up yet is asked again
      [ -z "$leader" ] || return 0
    done
    sleep 0.1
  done
  echo "no leader after 30 s; the nodes' logs are in $work" >&2
  return 1
}

for id in $nodes; do
  cat >"$work/$id.yaml" <<END
node: $id
zone: ${zone[$id]}
data: $work/$id
http: ${http[$id]}
admin: ${admin[$id]}
peer: ${peer[$id]}
cluster:
  id: demo
  zone_ack: prefer
  nodes:
$members
END
  start "$id"
done
await_leader $nodes
follower=b1
[ "$leader" != b1 ] || follower=a2
echo "three nodes serve: a1 and a2 in zone a, b1 in zone b; $leader leads"

cat >"$work/plan.yaml" <<END
products:
  - {id: mask-50, name: "Surgical masks, box of 50", list_price: 4900, currency: CNY}
  - {id: earbuds-2, name: "Wireless earbuds", list_price: 29900, currency: CNY}
  - {id: mug-fans, name: "Fans' Day mug", list_price: 3900, currency: CNY}
sales:
  - id: fans-day
    name: Fans' Day
    timezone: Asia/Shanghai
    sessions:
      - id: fans-day-10
        start: now
        pay_within: 4s          # so that releases and resales show
        pay_grace: 0s
        limit_per_shopper: 1
        admission_multiple: 0
        listings:
          - {sku: mask-50, price: 100, stock: $fans}
          - {sku: earbuds-2, price: 9900, stock: 500}
          - {sku: mug-fans, price: 100, stock: 1000}
END
"$doorbuster" apply -f "$work/plan.yaml" --admin "${admin[$follower]}"
echo
echo "$fans fans come to $follower, a follower, at $rate a second; $leader, the leader, gets kill -9 after $kill_after"
status=0
victim=$leader
others=
for id in $nodes; do [ "$id" = "$victim" ] || others+="${others:+,}${admin[$id]}"; done
"$doorbuster" bench rush --addr "${http[$follower]}" --admin "$others" --shoppers "$fans" --rate "$rate" \
  --kill-pid "${pid[$victim]}" --kill-after "$kill_after" --connections 256 --settle 20s --json "$work/rush.json" \
  --listing fans-day-10/mask-50=4 --listing fans-day-10/earbuds-2=3 --listing fans-day-10/mug-fans=3 || status=$?
pid[$victim]=
# Milliseconds without their fractions.
next=$(sed -nE 's/^ *"next_grant_ms": ([0-9]+).*/\1/p' "$work/rush.json" | head -1)
await_leader "$follower"
echo
echo "from kill -9 of $victim to the next grant: ${next:-?} ms; $leader leads now"
echo
echo "$victim comes back:"
start "$victim"
for _ in $(seq 100); do
  "$doorbuster" cluster status --admin "${admin[$leader]}" --output json >"$work/status.json" || true
  [ "$(grep -c '"reachable": true' "$work/status.json")" = 3 ] && [ "$(grep -c '"lag": 0,' "$work/status.json")" = 3 ] && break
  sleep 0.1
done
"$doorbuster" cluster status --admin "${admin[$leader]}"
cat <<END

where to look:
  $work/rush.json     the whole report
  $work/{a1,a2,b1}.log  what the nodes said
  $doorbuster bench failover --kills 20   # the same with 20 kills, timed
END
exit $status
