# Everything a developer or a build machine runs. CONTRIBUTING.md says when to use which target.

GO ?= go

# The version is the last release tag. Without a tag the program's own default stands.
VERSION := $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null))
LDFLAGS  = -s -w $(if $(VERSION),-X main.version=$(VERSION))
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

# How long one fuzz test runs in `make fuzz`.
FUZZTIME ?= 20s

# How many histories `make sim` runs.
SEEDS ?= 3000

# How long `make torture` troubles a pair, and the seed of a run to repeat; 0 takes a new one.
TORTURE_TIME ?= 10m
TORTURE_SEED ?= 0

# How long `make differ` compares, and the seed of a run to repeat; 0 takes a new one.
DIFFER_TIME ?= 10m
DIFFER_SEED ?= 0

.PHONY: vulncheck model sim mutants build test test-deps check fmt-check vet staticcheck layers unit e2e race fuzz cover torture differ differ-cluster bench bench-pair bench-proxy bench-cluster bench-tyrant bench-check bench-hitrate demo clean guard guard-baseline profile bench-scale man completions dist reproduce package-test

# The steps of test and check run in order, also with -j.
.NOTPARALLEL:

build:
	$(BUILD) -o bin/futago ./cmd/futago

# What packages install beside the binary.
man: build
	rm -rf bin/man
	bin/futago man bin/man

completions: build
	rm -rf bin/completions && mkdir -p bin/completions
	bin/futago completion bash >bin/completions/futago.bash
	bin/futago completion fish >bin/completions/futago.fish
	bin/futago completion zsh >bin/completions/_futago

# What is released, into dist/.
dist:
	VERSION="$(VERSION)" scripts/dist

# Whether dist makes the same bytes twice.
reproduce:
	VERSION="$(VERSION)" scripts/reproduce

# Installs, upgrades and removes the .deb in a Debian of its own; as root, downloads 50 MB.
package-test:
	scripts/package-test

test: test-deps vet unit guard e2e

test-deps:
	scripts/test-deps

check: fmt-check vet staticcheck layers unit

fmt-check:
	@out=$$(gofmt -l .) || exit 1; \
	if [ -n "$$out" ]; then printf 'gofmt would change:\n%s\n' "$$out" >&2; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags e2e ./...

staticcheck:
	$(GO) tool staticcheck -tags e2e ./...

layers:
	$(GO) test -count=1 -run '^TestLayers' .

unit:
	$(GO) test -timeout 10m ./...

# The rules of replication, searched deep: minutes.
# Every history of the rules up to a depth, on two and three nodes.
model:
	FUTAGO_MODEL=deep $(GO) test -count=1 -timeout 60m -v -run '^TestModel' ./internal/store/

# The cache cannot know which programs these tests start, so they always run, one package at a time.
e2e:
	$(GO) test -tags e2e -count=1 -p 1 -timeout 15m ./e2e/... ./internal/gateway/ ./internal/rediscluster/... ./internal/clusterfront/
	$(GO) test -tags e2e -count=1 -timeout 5m -run '^TestCluster$$' ./internal/server/
	$(GO) test -tags e2e -count=1 -timeout 10m -run '^TestCompareCluster$$' ./internal/bench/

# Speed and allocations of the hot paths beside a baseline, half a minute.
guard:
	GO="$(GO)" $(GO) run ./scripts/guard

guard-baseline:
	GO="$(GO)" $(GO) run ./scripts/guard --write

# Known weaknesses in what the program calls, Go itself included. It asks vuln.go.dev.
vulncheck:
	$(GO) tool govulncheck ./...

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...

# Random histories of whole meshes on virtual clocks, disks and networks; a failure prints how to run its seed again.
sim:
	FUTAGO_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 120m -run '^TestRandom$$' ./internal/replication

# Deliberately wrong variants, each of which a check must notice.
mutants:
	FUTAGO_MUTANTS=all $(GO) test -count=1 -timeout 120m -v -run '^TestMutants$$' ./internal/replication

fuzz:
	FUZZTIME=$(FUZZTIME) scripts/fuzz

cover:
	$(GO) test -timeout 5m -coverpkg ./... -coverprofile coverage.out ./...
	$(GO) tool cover -func coverage.out | tail -n 1

torture: build
	$(GO) run ./e2e/torture --time $(TORTURE_TIME) --seed $(TORTURE_SEED) --record docs

differ: build
	$(GO) run ./e2e/differ --time $(DIFFER_TIME) --seed $(DIFFER_SEED)

# The same with a front of a cluster.
differ-cluster:
	DIFFER_TIME=$(DIFFER_TIME) DIFFER_SEED=$(DIFFER_SEED) $(GO) test -tags e2e -count=1 -timeout 0 -v -run '^TestDifferOnCluster$$' ./e2e/differ

bench: build
	scripts/bench

bench-pair: build
	scripts/bench pair

# Needs twemproxy, Debian package nutcracker.
bench-proxy: build
	scripts/bench proxy

# A front of a Redis cluster beside the bare cluster, and masters that are killed. Needs redis-server and redis-tools.
bench-cluster: build
	scripts/bench cluster

# A node by Tokyo Tyrant's protocol.
bench-tyrant: build
	scripts/bench tyrant

# The load generator beside those of others.
bench-check: build
	scripts/bench check
# A node as its data grows, up to 50 million records.
bench-scale: build
	scripts/bench scale

# memcached and futago --evict as caches of the same memory, about two minutes.
bench-hitrate: build
	bin/futago bench hitrate

# Profiles of nodes, gateway and proxy under load, about two minutes; writes docs/profiles.md.
profile: build
	scripts/profile

demo: build
	bin/futago demo

clean:
	rm -rf bin dist coverage.out
