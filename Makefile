# Doorbuster. `make` alone prints the targets.
SHELL := /bin/bash
GO ?= go
BIN := bin/doorbuster
RACE_TIMEOUT ?= 30m
RACE_OF ?= ./...
FUZZ_TIME ?= 30s
# The commit is stamped into the build where git can tell it.
STAMP := $(shell git status --porcelain >/dev/null 2>&1 && echo -buildvcs=auto)
ROUNDS ?= 50
KILLS ?= 100
PARTITIONS ?= 20
ORDERS ?= 10000

.DEFAULT_GOAL := help
.PHONY: help build test check tools race invariants lint docs figures fuzz sim crash recovery failover bargains partitions money sinks console ledger bench walbench pgo crowd demo cluster-demo clean FORCE

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

build: $(BIN) ## build bin/doorbuster

$(BIN): FORCE
	$(GO) build $(STAMP) -o $@ ./cmd/doorbuster

test: tools ## a short test of every promise (some 5 minutes)
	$(GO) test -short ./...

# What starts nodes as processes is slow by the race detector, and left to 'make race'.
check: lint build test invariants ## what CI runs: lint, 'make test', the invariants, and what runs in process once more with the race detector (some 30 minutes)
	$(MAKE) race RACE_FLAGS=-short RACE_OF="$$($(GO) list ./... | grep -v -e /tests/ -e /docs$$ | tr '\n' ' ')"

# Tests that need a load balancer, a database, a browser or a network of their own are skipped, and
# say so, where these can't be had. Run level 1 keeps what is installed from being started.
tools:
	@for tool in haproxy:haproxy nginx:nginx-light ip:iproute2 nats-server:nats-server \
		pg_lsclusters:postgresql mariadbd:mariadb-server chromium:chromium promtool:prometheus; do \
		PATH=$$PATH:/usr/sbin:/sbin command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	[ -z "$$missing" ] || { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; } >/dev/null 2>&1 || echo "not installed:$$missing; the tests that need it are skipped"

# By the profile all would be compiled once more.
race: tools ## all tests at full length, with the race detector (some 50 minutes)
	$(GO) test -race -pgo=off -timeout $(RACE_TIMEOUT) $(RACE_FLAGS) $(RACE_OF)

invariants: ## the engine's tests in the builds that check at every step, and that can be made to fail
	$(GO) test -short -tags invariants ./engine
	$(GO) test -pgo=off -tags faults ./engine ./cmd/doorbuster -run 'Break|Froze|Frozen|Fault'
	$(GO) test -tags nextrules ./actors -run NewestRules

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags 'faults invariants' ./engine ./actors/backoffice
	$(GO) vet -tags nextrules ./engine ./actors
	$(GO) tool staticcheck ./...
	$(GO) -C bench/walbench vet . # a module of its own: when go.mod has changed, 'go mod tidy' there

docs: ## docs/reference and examples/monitoring, written from the settings, commands, routes, errors and alarms that there are
	$(GO) generate ./httpapi # openapi.json, which the reference is written from
	$(GO) test -count=1 ./cmd/doorbuster ./httpapi -run TestReferenceIsCurrent -reference.write

figures: ## the figures of README and docs/benchmarks, written from the newest of bench/results
	$(GO) test -count=1 ./cmd/doorbuster -run TestFiguresAreCurrent -figures.write

fuzz: ## every fuzz target for FUZZ_TIME (30s)
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep ^Fuzz); do \
			echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_TIME) $$package || exit 1; \
		done; \
	done

sim: ## the model-based and crashable-disk tests, for minutes instead of seconds
	$(GO) test -count=1 -timeout 60m ./engine -rapid.checks=20000
	$(GO) test -count=1 -timeout 60m ./wal -wal.rounds=2000

crash: build ## ROUNDS (50) rounds of load, kill -9, restart, and a look at what was told
	$(BIN) bench crash --rounds $(ROUNDS)

recovery: ## every kind of damage to a node's disk, alone and in a cluster, and what the node makes of it (takes root, for small disks)
	$(GO) test -count=1 -timeout 60m -parallel 2 ./cmd/doorbuster/tests/recovery -run TestRecoveryMatrix -recovery.all -recovery.table=$(CURDIR)/docs/recovery.md

failover: build ## KILLS (100) times kill -9 of a leader of three nodes under load, and a look at what was told
	$(BIN) bench failover --kills $(KILLS)

bargains: build ## 10,000 bargains and 200,000 helps while leaders are killed, with every cut drawn again; then cuts among a million idle ones, and a restart with them; kept in bench/results
	$(BIN) bench bargain
	$(BIN) bench bargain --bargains 100 --helps 2000 --kills 0 --nodes 1 --idle 1000000

partitions: ## PARTITIONS (20) rounds each: cut the network every way and in part, lose a room, cut it off, replace all nodes under load (takes root, for network namespaces)
	$(GO) test -count=1 -timeout 60m -v ./cmd/doorbuster/tests/partitions -run 'TestPartitions|TestPartialCuts|TestZoneLost|TestZoneCutOff|TestAllNodesReplaced' -partition.rounds=$(PARTITIONS)

money: build ## ORDERS (10000) through a cashier who behaves badly while leaders are killed, a race of 100,000 to the cent, and a statement of a million lines twice
	$(GO) test -count=1 -timeout 60m -v ./actors -run TestPaidExpiredCancelledAtOnce -money.instants=100000
	$(GO) test -count=1 -timeout 60m -v ./cmd/doorbuster/tests/money -run TestMoneyAgrees -money.orders=$(ORDERS)
	$(BIN) bench reconcile

SINK_ORDERS ?= 200000
SINK_KILLS ?= 20

sinks: tools ## SINK_ORDERS (200,000) orders through rush, payment, refund and shipping into PostgreSQL and MariaDB, while leaders and databases are killed and connections cut SINK_KILLS (20) times: then row for row; and the same kills beside NATS and Kafka
	$(GO) test -count=1 -timeout 90m -v ./cmd/doorbuster/tests/sinks -run TestTablesAreTheLedger -sinks.orders=$(SINK_ORDERS) -sinks.kills=$(SINK_KILLS)
	$(GO) test -count=1 -timeout 90m -v ./cmd/doorbuster/tests/sinks -run TestStreamsAreTheTrail -streams.kills=$(SINK_KILLS)

CONSOLE_MINUTES ?= 60

console: tools ## a fan day of 200,000 through the console, as docs/console.md has it; a console left open for CONSOLE_MINUTES (60) on a busy node: its memory; and what ten cost the node
	$(GO) test -count=1 -timeout 30m -v ./cmd/doorbuster/tests/pages -run TestFanDayThroughTheConsole -fanday.fans=200000
	$(GO) test -count=1 -timeout 90m -v ./cmd/doorbuster/tests/pages -run TestConsoleOverTime -console.minutes=$(CONSOLE_MINUTES)
	$(GO) test -count=1 -timeout 30m -v ./cmd/doorbuster/tests/pages -run TestConsoleCost -console.rounds=5

LEDGER_ORDERS ?= 5000000
LEDGER_SESSIONS ?= 20

ledger: ## the ledger at full size: the trail alone, look-ups among LEDGER_ORDERS (5,000,000) settled orders, a rush beside look-ups and beside the settling of a million, and what memory is left
	$(GO) test -count=1 -timeout 60m ./cluster/ledger/trail -run '^$$' -bench TrailRush -benchtime 2000000x
	$(GO) test -count=1 -timeout 60m ./cluster/ledger/settled -run '^$$' -bench 'WriteMillion|ThousandsOfFiles' -settled.orders=$(LEDGER_ORDERS)
	$(GO) test -count=1 -timeout 60m -v ./cmd/doorbuster -run TestHeapComesBack -settled.units=50000
	$(GO) test -count=1 -timeout 60m -v ./cmd/doorbuster/tests/ledger -run 'TestRushBesideTheLedger|TestRushBesideSettling' -settled.units=50000 -settled.sessions=$(LEDGER_SESSIONS)

bench: build ## the figures: HTTP against a bare handler, and decisions without HTTP; kept in bench/results
	$(GO) build -o bin/redislab ./bench/redislab # measured where a redis-server is installed
	$(BIN) bench http --rounds 5
	$(BIN) bench http --rules --rounds 5
	$(BIN) bench http --cluster --rounds 5
	$(BIN) bench decide --bare --rounds 5
	$(BIN) bench decide --bare --nodes 3 --rounds 5
	$(BIN) bench growth
	$(BIN) bench overload
	$(BIN) bench fanday
	$(BIN) bench mask

WAL_ROUNDS ?= 20
# Few batches at a time: more bytes in a row would meet the limits that virtual disks have.
walbench: ## the log alone beside raft-boltdb and hashicorp/raft-wal, on TMPDIR's disk, compared by benchstat; kept in bench/results
	$(GO) -C bench/walbench test -c -o $(CURDIR)/bin/walbench.test .
	@kept=$(CURDIR)/bench/results/wal-$$(date -u +%Y%m%dT%H%M%SZ)-$$(git rev-parse --short=10 HEAD).txt; \
	printf 'go: %s\ncores: %s\ncommit: %s\n' $$($(GO) env GOVERSION) $$(nproc) $$(git rev-parse HEAD) >$$kept; \
	for round in $$(seq $(WAL_ROUNDS)); do \
		bin/walbench.test -test.run '^$$' -test.bench StoreLogs -test.benchtime 200x >>$$kept || { cat $$kept; exit 1; }; \
	done; \
	sed -i '/^PASS$$/d' $$kept; \
	$(GO) -C bench/walbench tool benchstat -filter '.unit:(sec/op OR allocs/op)' -row /entries,/bytes \
		-col '/store@(doorbuster raft-wal raft-boltdb bare)' $$kept

pgo: build ## cmd/doorbuster/default.pgo, by which 'go build' optimises, from profiles of the refused, granted and ruled paths
	rm -rf bin/pgo && mkdir -p bin/pgo
	$(BIN) bench http --rules --rounds 3 --results '' --cpu-profile bin/pgo/cpu
	$(GO) tool pprof -proto -output bin/pgo/merged bin/pgo/cpu.*
	mv bin/pgo/merged cmd/doorbuster/default.pgo

crowd: build ## bots against people with each defence alone and with all, some ten minutes; kept in bench/results; and two tabs through two nodes
	$(BIN) bench crowd
	$(BIN) bench twotabs

demo: build ## the fan day: 200,000 fans at 10,000 a second who pay at a cashier, a verdict, and a reconciliation
	examples/demo.sh

cluster-demo: build ## three nodes in two zones: a rush against a follower, the leader killed in the middle, and a verdict
	examples/cluster-demo.sh

clean: ## remove what was built
	rm -rf bin
