# DB-SLM. `make` alone lists the targets; every target is one readable command.
# Tools are pinned here and in tools/, built from source into bin/ when first needed, and never installed anywhere else.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Everything is pure Go. Said once for all targets, so that the binary, the tests and the linters share one build cache.
export CGO_ENABLED := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BIN     := $(CURDIR)/bin

# Time for each fuzz target, cases for each property in the long run, and rounds of kills for each engine.
FUZZTIME  ?= 30s
LONG_CASES ?= 20000
ROUNDS     ?= 100

# Packages with goroutines of their own; the pure ones would only make the race build longer.
# `make test-race RACE_PACKAGES=.` adds the fault tests of the whole system, which take many minutes under the detector.
RACE_PACKAGES ?= ./gateway/... ./pkg/database/... ./pkg/rpc/... ./pkg/telemetry/... ./services/.../server/... ./services/memory/store/...
# Tests of arithmetic on one goroutine, which the detector only slows down; `make test` runs them.
RACE_SKIP     ?= KenLM|Explain|Hostile|EveryPath|Corrected|Preferred|EraseOneOfTenThousand|Deterministic|SamplesFollow|RepliesRead|AnyHistory|GoldenRows|TestFaults/.*/(MegabyteMessages|WidestWindow)|HeldOutAndGate|ScoreStreamIsScore|ExtensionAndRequired|ABiasWaits|ProfilesAndBans|CostTheSameForever|DocumentedQueryAgrees|TurnsAgainstAModel|TestStore/.*/(WindowOfLong|Pages?Of)

GOLANGCI_LINT_VERSION := v2.15.0
KUBECONFORM_VERSION   := v0.8.0
KUSTOMIZE_VERSION     := v5.8.1
KUBERNETES_VERSION    := v1.37.2

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- build and run

.PHONY: build
build: ## Build the one static binary, bin/dbslm
	go build -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/dbslm ./cmd/dbslm

.PHONY: build-arm64
build-arm64: ## Build the binary for arm64, bin/dbslm-arm64
	GOARCH=arm64 go build -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/dbslm-arm64 ./cmd/dbslm

.PHONY: demo
demo: ## Train on the example corpus and hold a short conversation
	go run -buildvcs=false ./examples/sail-loft --db var/demo

# ---------------------------------------------------------------- test

.PHONY: test
test: mariadb clients ## Run all tests, on SQLite and on MariaDB
	go test -p $$(( 2 * $$(nproc) )) -vet=off -timeout 20m ./... # much of it waits for servers; `make lint` vets

# SQLite is C translated to Go, with its own locking; instrumenting it doubles the time and would find nothing in our code.
RACE_FLAGS    := -race '-gcflags=modernc.org/...=-race=false'

.PHONY: test-race
test-race: mariadb clients ## Run the tests of everything concurrent under the race detector
	CGO_ENABLED=1 go test $(RACE_FLAGS) -vet=off -short -timeout 20m -skip '$(RACE_SKIP)' $(RACE_PACKAGES)

.PHONY: test-arm64
test-arm64: qemu ## Run the tests of the pure packages (fewer cases) as an arm64 build under emulation
	go list ./pkg/exactmath ./pkg/text ./services/... | grep -vE '/(store|server|ngramtest)(/|$$)|^dbslm/services/[a-z]+$$' | GOARCH=arm64 xargs go test -vet=off -short -exec qemu-aarch64-static

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) tools/fuzz

.PHONY: conformance-long
conformance-long: mariadb ## Run every property with LONG_CASES (20000) cases; takes long
	tools/property-packages | xargs -I{} go test -timeout 4h {} -rapid.checks=$(LONG_CASES)

.PHONY: replay-long
replay-long: mariadb ## Replay 1,000 replies on each engine (changed, elsewhere, restarted, copied) and recompute 1,000 of their tokens from the rows
	DBSLM_REPLAY=long go test -timeout 1h -v -run 'TestReplay$$' .

.PHONY: durability-long
durability-long: mariadb ## Kill the database 20 times under 64 writers on 1,000 conversations
	DBSLM_DURABILITY=long go test -timeout 1h -v -run TestAcknowledgedMessagesSurviveKills ./services/memory/store

.PHONY: test-hybrid
test-hybrid: mariadb clients ## Run the tests of the stores and services on a hybrid store (Aria) too; takes long
	DBSLM_TEST_HYBRID=1 go test -timeout 1h ./pkg/database/... ./services/... ./gateway/...

.PHONY: crash-rounds
crash-rounds: mariadb ## Kill commands, the service and the database ROUNDS (100) times on each engine; SEED repeats a run
	DBSLM_CRASH_ROUNDS=$(ROUNDS) DBSLM_CRASH_SEED=$(SEED) go test -timeout 4h -v -count 1 -run TestCrashRounds ./cmd/dbslm

.PHONY: signals-long
signals-long: mariadb ## 50 consumers hear 10,000 signals while service and database are killed five times each, on each engine
	DBSLM_SIGNALS=10000 DBSLM_SIGNAL_CONSUMERS=50 DBSLM_SIGNAL_KILLS=5 go test -timeout 2h -v -count 1 -run TestSignalsUnderKills ./cmd/dbslm

.PHONY: train-large
train-large: build ## Train ten times the corpora of DBSLM_DATA_DIR at orders 3 and 5 within MEMORY (512) MiB
	MEMORY=$(or $(MEMORY),512) tools/train-large $(DBSLM_DATA_DIR)/warandpeace.train.txt $(DBSLM_DATA_DIR)/shakespeare.train.txt

.PHONY: match-long
match-long: mariadb ## Measure matching against a million corrections
	DBSLM_BENCH_CORRECTIONS=1000000 go test -timeout 2h -run '^$$' -bench BenchmarkMatchMany -benchtime 1000x ./services/memory/store

.PHONY: messages-long
messages-long: mariadb ## Measure appending and windows among 10 million messages, and what a message takes on the disk
	DBSLM_BENCH_MESSAGES=10000000 go test -timeout 3h -run '^$$' -bench BenchmarkMessages -benchtime 2000x ./services/memory/store

.PHONY: load
load: mariadb ## Measure replies under load: beside the sum of their parts, what they cost, streams, overload (LOAD replies each, 300)
	LOAD=$(LOAD) go test -timeout 1h -run '^$$' -bench BenchmarkLoad -benchtime 1x .

.PHONY: bench
bench: ## Run the Go benchmarks; the figures of the whole system are in docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: load-cost
load-cost: build mariadb ## CPU of training TEXT=FILE into a private MariaDB, and of a bare LOAD DATA of the same rows; ORDER=3
	@test -n "$(TEXT)" || { echo "name a text: make load-cost TEXT=FILE" >&2; exit 2; }
	tools/load-cost $(TEXT)

.PHONY: smoke
smoke: build mariadb clients bin/grpcurl ## Run the four services as four processes on MariaDB and compare with one process on SQLite
	tools/smoke

.PHONY: web-test
web-test: build ## Use the web page in a headless Chromium: talk, correct, look inside, by keyboard, on a phone, with hostile texts; axe-core looks too
	@tools/ensure-web
	tools/web-test

.PHONY: smoke-arm64
smoke-arm64: build build-arm64 mariadb clients qemu bin/grpcurl ## The same, and the conversation once more as an arm64 program under emulation
	tools/smoke bin/dbslm-arm64

.PHONY: mariadb
mariadb: ## Make sure that the tests find a MariaDB (root on Debian: installs it; else says what is missing)
	@tools/ensure-mariadb

.PHONY: clients
clients: ## Make sure that the tests find the clients of other languages (root on Debian: installs Node, npm, Python, protoc; else says what is missing)
	@tools/ensure-clients
	@$(MAKE) --no-print-directory bin/dbslm-protos.tar.gz

.PHONY: qemu
qemu: ## Make sure that the arm64 emulator is there (root on Debian: installs it; else says what is missing)
	@tools/ensure-qemu

# ---------------------------------------------------------------- check

.PHONY: lint
lint: lint-go lint-files lint-proto lint-deploy ## Run every static check

.PHONY: lint-go
lint-go: bin/golangci-lint-$(GOLANGCI_LINT_VERSION) ## Check the Go code: linters, formatting, architecture
	bin/golangci-lint-$(GOLANGCI_LINT_VERSION) run ./...
	GOWORK=off go mod tidy -diff
	cd tools && GOWORK=off go mod tidy -diff

.PHONY: lint-files
lint-files: ## Check that no built thing is among the sources: nothing above 1 MiB
	@git ls-files -z | xargs -0 -r stat -c '%s %n' | awk '$$1 > 1048576 {print "too large for a source: " $$0; bad = 1} END {exit bad}'

.PHONY: lint-proto
lint-proto: ## Check that generated code is fresh and, if protos changed, their style and compatibility
	tools/check-protos

.PHONY: lint-deploy
lint-deploy: ## Check the Kubernetes files, if they changed, against strict schemas
	tools/check-deploy $(KUSTOMIZE_VERSION) $(KUBECONFORM_VERSION)

.PHONY: packages
packages: mariadb clients qemu ## Install Debian's packages that the tests need (as root), or say which are missing

.PHONY: fmt
fmt: bin/golangci-lint-$(GOLANGCI_LINT_VERSION) ## Format the Go code
	bin/golangci-lint-$(GOLANGCI_LINT_VERSION) fmt ./...

# ---------------------------------------------------------------- protos

.PHONY: generate
generate: bin/buf bin/protoc-gen-go bin/protoc-gen-go-grpc ## Regenerate the Go code beside the protos
	bin/buf build --output /dev/null
	find proto -name '*.pb.go' -delete
	bin/buf generate
	tools/proto-sums > proto/checksums.txt

.PHONY: proto-lint
proto-lint: bin/buf ## Lint the protos with buf
	bin/buf lint

.PHONY: proto-bundle
proto-bundle: bin/dbslm-protos.tar.gz ## Pack the protos with what they import, and a descriptor set, into bin/dbslm-protos.tar.gz; protoc compiles them

bin/dbslm-protos.tar.gz: tools/proto-bundle $(shell find proto third_party -name '*.proto')
	@tools/proto-bundle

.PHONY: k8s-schemas
k8s-schemas: ## Rewrite deploy/kubernetes/schemas from the OpenAPI file of KUBERNETES_VERSION
	cd deploy/kubernetes/schemas && go run generate.go "$$(cd / && GOWORK=off go mod download -json k8s.io/kubernetes@$(KUBERNETES_VERSION) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/api/openapi-spec/swagger.json" .

.PHONY: clean
clean: ## Remove bin/ (built tools and binaries); stores under var/ stay
	rm -rf bin

# ---------------------------------------------------------------- tools

# Programs whose dependencies agree with nobody else's have a module file each; a workspace refuses -modfile, hence GOWORK=off.
# buf takes 2 to 5 minutes to build, once.
bin/buf: tools/buf.mod
	cd tools && GOWORK=off go build -ldflags '-s -w' -modfile=buf.mod -o $(BIN)/buf github.com/bufbuild/buf/cmd/buf && touch $(BIN)/buf

bin/grpcurl: tools/grpcurl.mod
	cd tools && GOWORK=off go build -ldflags '-s -w' -modfile=grpcurl.mod -o $(BIN)/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl && touch $(BIN)/grpcurl

bin/protoc-gen-go bin/protoc-gen-go-grpc &: tools/go.mod
	cd tools && GOWORK=off GOBIN=$(BIN) go install tool && touch $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc

bin/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(BIN) go install -ldflags '-s -w' github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION) && mv $(BIN)/golangci-lint $@

bin/kubeconform-$(KUBECONFORM_VERSION):
	GOBIN=$(BIN) go install -ldflags '-s -w' github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION) && mv $(BIN)/kubeconform $@

bin/kustomize-$(KUSTOMIZE_VERSION):
	GOBIN=$(BIN) go install -ldflags '-s -w' sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION) && mv $(BIN)/kustomize $@
