# The two commands: `make demo` runs the platform, `make test` passes the tests.

GO       ?= go
COMMANDS := tollgate auth users payments demo
BIN      := $(CURDIR)/bin

.PHONY: demo build test deps lint vuln bench issuers fuzz clean

# Builds everything and runs it on loopback until Ctrl-C. DEMO="--port 9443" passes flags.
demo: build
	@exec $(BIN)/demo $(DEMO)

# No flags of its own, so that what vet and the tests have compiled is not compiled again.
build:
	@$(GO) build -o $(BIN)/ $(COMMANDS:%=./cmd/%) ./examples/shop

# Everything that CI runs. The race detector needs a C compiler; deps brings it.
test: deps lint
	$(GO) test -race -timeout 20m ./...

deps:
	@./scripts/deps.sh

lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "the files above are not gofmt-ed" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# Needs the vulnerability database, which is on the network: not part of test.
vuln:
	$(GO) tool govulncheck ./...

# The shipped policy chain against Caddy's bare reverse_proxy, interleaved in one run.
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./caddymodules/...
	$(GO) run ./test/bench

# Revocation under a thousand requests a second, and ten thousand invented key ids, with
# the numbers held to. Part of test are the same tests with less load.
issuers:
	TOLLGATE_STRICT=1 $(GO) test -count=1 -v -run '^(TestRevocationUnderLoad|TestRandomKeyIDs)$$' ./test/conformance

# Every fuzz target in turn, FUZZTIME each.
FUZZTIME ?= 60s
fuzz:
	@./scripts/fuzz.sh $(FUZZTIME)

# Linters and generators of others over the OpenAPI documents; npm fetches them.
strangers:
	$(GO) test -count 1 -tags strangers ./test/strangers/

clean:
	rm -rf $(BIN)
