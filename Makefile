# DB-SLM. `make` alone lists the targets; every target is one readable command.
# Tools are pinned, built from source into bin/ the first time they are needed, and never installed elsewhere.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin

# ---------------------------------------------------------------- protos
.PHONY: generate
generate: bin/buf bin/protoc-gen-go bin/protoc-gen-go-grpc ## Regenerate the Go code beside the protos and record its checksums
	bin/buf build --output /dev/null
	find proto -name '*.pb.go' -delete
	bin/buf generate
	$(MAKE) --no-print-directory proto-sums

.PHONY: proto-sums
proto-sums:
	tools/proto-sums > proto/checksums.txt

.PHONY: proto-lint
proto-lint: bin/buf ## Lint the protos with buf
	bin/buf lint

# ---------------------------------------------------------------- tools
# buf needs newer protobuf than the plugins, so it and every other big tool has a module file of its own; a workspace refuses
# -modfile, hence GOWORK=off. buf takes 2–5 minutes to build once.
bin/buf: tools/buf.mod
	cd tools && GOWORK=off go build -modfile=buf.mod -o $(BIN)/buf github.com/bufbuild/buf/cmd/buf && touch $(BIN)/buf

bin/protoc-gen-go bin/protoc-gen-go-grpc &: tools/go.mod
	cd tools && GOWORK=off GOBIN=$(BIN) go install tool && touch $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc
