#!/usr/bin/env bash
# The fan day in half a minute: a node and an outside cashier on a temporary
# directory, the plan of fans-day.yaml with seconds to pay instead of minutes (so
# that releases and resales show), 200,000 fans at 10,000 a second, and a verdict.
# The cashier delays, repeats and drops callbacks; its statement then settles what
# got lost, until both books agree.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
doorbuster=${DOORBUSTER:-$here/bin/doorbuster}
fans=${FANS:-200000}
rate=${RATE:-10000}
work=$(mktemp -d "${TMPDIR:-/tmp}/doorbuster-demo-XXXXXX")
umask 077

node= cashier=
# start runs a child, in a process group of its own: the terminal's Ctrl-C is for the
# rush, which still gives its verdict, and then for this script, which ends the others.
start() { # LOG COMMAND...
  set -m
  "${@:2}" 2>"$1" &
  disown $! # or bash would tell of its end
  set +m
}
# stop ends a child and waits until it is gone.
stop() { # PID
  [ -n "$1" ] || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  for _ in $(seq 300); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  echo "process $1 does not end; it is killed" >&2
  kill -KILL "$1"
}
finish() {
  status=$?
  trap '' INT TERM
  stop "$cashier"
  stop "$node"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# await_line waits for a line in a child's log, and prints it.
await_line() { # PID LOG PATTERN
  for _ in $(seq 400); do
    grep -m1 "$3" "$2" 2>/dev/null && return
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  cat "$2" >&2
  return 1
}

sed -e 's/pay_within: 15m/pay_within: 4s/' -e 's/pay_grace: 2m/pay_grace: 1s/' "$here/examples/fans-day.yaml" >"$work/plan.yaml"
for key in pay cashier; do head -c 48 /dev/urandom | base64 | tr -d '\n' >"$work/$key.key"; done
echo '- {id: demo, file: pay.key, signs: true}' >"$work/pay-keys.yaml"
keys=(--pay-keys "$work/pay-keys.yaml" --cashier-key-file "$work/cashier.key")

# Shop and cashier must each know the other's address, so the cashier's is chosen
# beforehand. It is held for as long as this script's end of the pipe is open.
coproc ports { "$doorbuster" bench ports 1; }
read -r till <&"${ports[0]}"

# The node's ports are of the system's choice, so that one of yours is not in the way.
start "$work/node.log" "$doorbuster" serve --dev --data "$work/data" --http 127.0.0.1:0 --admin 127.0.0.1:0 --log-format json \
  --cashier-url "http://$till" "${keys[@]}"
node=$!
serving=$(await_line "$node" "$work/node.log" '"msg":"serving"')
http=$(sed -E 's#.*"shoppers":"http://([^"]+)".*#\1#' <<<"$serving")
admin=$(sed -E 's#.*"operators":"http://([^"]+)".*#\1#' <<<"$serving")
echo "watch it happen:  http://$admin/      the console, for operators"
echo "                  http://$http/shop  the shop, to buy in by any name"
echo
start "$work/cashier.log" "$doorbuster" cashier --data "$work/cashier" --listen "$till" --shop "http://$http" "${keys[@]}" \
  --delay 1s --repeat 0.2 --drop 0.1 --fail 0.3
cashier=$!
await_line "$cashier" "$work/cashier.log" 'msg=cashier' >/dev/null
echo "a node serves shoppers at http://$http and operators at http://$admin"
echo "a cashier takes their money at http://$till; of its callbacks one in ten never comes"
echo
"$doorbuster" apply -f "$work/plan.yaml" --admin "$admin"
echo
echo "$fans fans come at $rate a second"
status=0
"$doorbuster" bench rush --addr "$http" --admin "$admin" --cashier "$till" --shoppers "$fans" --rate "$rate" --settle 20s --json "$work/rush.json" \
  --listing fans-day-10/mask-50=4 --listing fans-day-10/earbuds-2=3 --listing fans-day-10/lamp-desk=2 --listing fans-day-10/mug-fans=1 || status=$?

# fetch gets the cashier's statement with bash alone.
fetch() { # FILE
  exec 3<>"/dev/tcp/127.0.0.1/${till##*:}"
  printf 'GET /statement HTTP/1.0\r\n\r\n' >&3
  read -r _ code _ <&3
  [ "$code" = 200 ] || { echo "the cashier gives no statement: status $code" >&2; return 1; }
  sed $'1,/^\r$/d' <&3 >"$1"
  exec 3<&-
}
echo
echo "the cashier's statement against the shop's orders:"
echo
fetch "$work/statement-1.csv"
"$doorbuster" reconcile "$work/statement-1.csv" --admin "$admin" || status=1

# Money for which there is no unit goes back: the shop asks until the cashier has
# done it. Then nothing is left to settle.
for _ in $(seq 100); do
  fetch "$work/statement-2.csv"
  "$doorbuster" reconcile "$work/statement-2.csv" --dry-run --output json --admin "$admin" >"$work/agree.json" 2>"$work/agree.err" || true # not yet
  agreed=
  grep -q '"open": 0,' "$work/agree.json" && grep -A1 '"refunds_pending": {' "$work/agree.json" | grep -q '"count": 0,' && agreed=yes && break
  sleep 0.3
done
echo
echo "and its next one, after the refunds:"
echo
"$doorbuster" reconcile "$work/statement-2.csv" --admin "$admin" || status=1
[ -n "$agreed" ] || { echo "refunds are still due, or the books differ: see $work/agree.json and agree.err" >&2; status=1; }

stop "$cashier"
cashier=
stop "$node"
node=
echo
"$doorbuster" wal verify "$work/data"
cat <<END

where to look:
  $work/rush.json         the whole report
  $work/statement-1.csv   what the cashier took and paid back
  $work/node.log          what the node said; the cashier: $work/cashier.log
  $doorbuster wal dump $work/data | less
  $doorbuster serve --dev --data $work/data   # the same shop again, at 127.0.0.1:8080 and :8081
END
exit $status
