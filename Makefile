# The two commands: `make demo` runs the platform, `make test` passes the tests.

GO       ?= go
COMMANDS := tollgate auth users payments demo
BIN      := $(CURDIR)/bin

.PHONY: demo build test deps lint attack vuln bench issuers fuzz soak clean

# Builds everything and runs it on loopback until Ctrl-C. DEMO="--port 9443" passes flags.
demo: build
	@exec $(BIN)/demo $(DEMO)

# No flags of its own, so that what vet and the tests have compiled is not compiled again.
build:
	@$(GO) build -o $(BIN)/ $(COMMANDS:%=./cmd/%) ./examples/shop

# Everything that CI runs. The race detector needs a C compiler; deps brings it.
test: deps lint
	$(GO) test -race -timeout 20m ./...
	@./scripts/fuzz.sh 2s $(FUZZED)

deps:
	@./scripts/deps.sh

lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "the files above are not gofmt-ed" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# Every attack on access tokens, requests and connections, one by one against the built
# edge, and what came of it as a table. Part of test as well, without the table.
attack:
	@cd test/conformance && $(GO) test -count=1 -run '^TestAttack$$' -args -table

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

# Every fuzz target in turn, FUZZTIME each. FUZZED is what strangers write: test
# gives it two seconds each.
FUZZTIME ?= 60s
FUZZED   := $(addprefix ./internal/,access dpop introspect jose jwks token)
fuzz:
	@./scripts/fuzz.sh $(FUZZTIME)

clean:
	rm -rf $(BIN)

# The policy model against the real chain of handlers, at length.
CONFIGS ?= 10000
soak:
	CONFIGS=$(CONFIGS) $(GO) test -count=1 -timeout 6h -run TestModelIsTheEdge -v ./test/policy/
