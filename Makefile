# The two commands: `make demo` runs the platform, `make test` passes the tests.

GO       ?= go
COMMANDS := tollgate auth users payments demo
BIN      := $(CURDIR)/bin
# SQLite is C that was made Go by a program: with the race detector in it, whose checks of
# pointers all its memory goes through, the tests took twice the time, and it would find
# nothing of ours there. The driver around it, and all that calls it, are watched.
RACE     := -race -gcflags=modernc.org/sqlite/lib=-race=false
# These count ways that a model goes, ten times as slowly where each step is watched. What
# runs side by side in them is watched in the tests of internal/policy.
UNRACED  := ^(TestDiffIsExact|TestPlantedFaultsAreFound)$$

.PHONY: demo build test deps lint attack vuln bench issuers limits limiter keys fuzz crash strangers soak audit clean

# Builds everything and runs it on loopback until Ctrl-C. DEMO="--port 9443" passes flags.
demo: build
	@exec $(BIN)/demo $(DEMO)

# No flags of its own, so that what vet and the tests have compiled is not compiled again.
build:
	@$(GO) build -o $(BIN)/ $(COMMANDS:%=./cmd/%) ./examples/shop

# Everything that CI runs. The race detector needs a C compiler; deps brings it.
test: deps lint
	$(GO) test $(RACE) -timeout 20m -skip '$(UNRACED)' ./...
	$(GO) test -timeout 20m -run '$(UNRACED)' ./test/policy
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

# The shipped policy chain against Caddy's bare reverse_proxy, interleaved in one run;
# and payments on both databases, with so many TRANSFERS in the books before: 0, 100000
# or 1000000, which takes eight minutes.
TRANSFERS ?= 0
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./caddymodules/...
	$(GO) test -run '^$$' -timeout 60m -bench '^BenchmarkConfirm$$/./^transfers=$(TRANSFERS)$$' -benchtime 3000x ./backends/payments
	$(GO) run ./test/bench

# Revocation under a thousand requests a second, and ten thousand invented key ids, with
# the numbers held to. Part of test are the same tests with less load.
issuers:
	TOLLGATE_STRICT=1 $(GO) test -count=1 -v -run '^(TestRevocationUnderLoad|TestRandomKeyIDs)$$' ./test/conformance

# The limiter under load, judged from outside: three edges, one Redis, LIMITS of load, and
# two other limiters in the same run. Wants the machine for itself.
LIMITS ?= 60s
limits:
	$(GO) test -v -count=1 -timeout 20m -run '^(TestJudge|TestLimits)$$' ./test/limits -args -length $(LIMITS) -baselines

# The limiter's simulations and faults for longer: LIMITER_RUNS scenarios of each kind.
LIMITER_RUNS ?= 3000
limiter:
	$(GO) test -timeout 60m -count 1 ./internal/limit -run 'Twin|Window|Bounds|Pace|Slots|Planted' -rapid.checks=$(LIMITER_RUNS)
	$(GO) test -timeout 30m -count 5 ./internal/limit -run 'Faults|Sentinel|Cluster'

# What a million callers cost in the edge and in Redis, and how long a busy one waits for
# that at most. Wants the machine for itself.
KEYS ?= 1000000
keys:
	$(GO) test -v -count=1 -timeout 10m ./internal/limit -run '^TestManyKeys$$' -args -keys $(KEYS)

# Every fuzz target in turn, FUZZTIME each. FUZZED is what strangers write: test
# gives it two seconds each.
FUZZTIME ?= 60s
FUZZED   := $(addprefix ./internal/,access dpop introspect jose jwks token)
fuzz:
	@./scripts/fuzz.sh $(FUZZTIME)

# Kills the payments service ROUNDS times under load on each database, and looks at
# the books after every time.
ROUNDS ?= 200
crash:
	ROUNDS=$(ROUNDS) $(GO) test -count 1 -timeout 60m -v -run 'TestCrashLoop' ./backends/payments

# Tools of others over the OpenAPI documents, which npm fetches: linters; a generated
# collection, run through a proxy that holds the platform to the documents; and a
# generated client that walks the flow.
strangers:
	$(GO) test -count 1 -tags strangers ./test/strangers/
	$(GO) test -count 1 -tags strangers -v -run '^TestStrangers(Collection|Types)$$' ./test/e2e/

clean:
	rm -rf $(BIN)

# The policy model against the real chain of handlers, at length: PARTS processes, each with
# its share of CONFIGS random configurations, half as many Caddyfiles, its share of PAIRS for
# diff, and a seed of its own, which a failure names.
CONFIGS ?= 10000
PAIRS   ?= 400
PARTS   ?= 2
soak:
	@$(GO) test -c -o $(BIN)/policy.test ./test/policy
	@cd test/policy && rm -f $(BIN)/soak-*.log && seed=$${SEED:-$$(date +%s)} && configs=$$((($(CONFIGS) + $(PARTS) - 1) / $(PARTS))) && \
	seq $$seed $$((seed + $(PARTS) - 1)) | CONFIGS=$$configs PAIRS=$$((($(PAIRS) + $(PARTS) - 1) / $(PARTS))) xargs -P $(PARTS) -I{} sh -c 'SEED={} GOMAXPROCS=1 \
		$(BIN)/policy.test -test.timeout 8h -test.run "^(TestModelIsTheEdge(OfCaddyfiles)?|TestDiffIsExact)$$" -test.v >$(BIN)/soak-{}.log 2>&1 && \
		echo "seed {}: $$(grep -ohE "[0-9]+ (requests|pairs).*" $(BIN)/soak-{}.log | paste -sd ";" | sed "s/;\\([^ ]\\)/; \\1/g")" || \
		{ echo "seed {}: FAILED, see $(BIN)/soak-{}.log"; head -c 4000 $(BIN)/soak-{}.log; exit 1; }' && \
	cat $(BIN)/soak-*.log | awk -v configs=$$(($(PARTS) * configs * 3 / 2)) \
		'/ requests, / { requests += $$2; several += $$4 } / pairs: / { pairs += $$2; widened += $$4; equal += $$6 } \
		END { printf "The model was the edge for all %d requests to %d configurations (%d met something that is not analysed). diff was exact for all %d pairs (%d widened, %d equal).\n", requests, configs, several, pairs, widened, equal }' && \
	rm -f $(BIN)/soak-*.log

# Twenty thousand records a second in the audit log, beside work that takes all cores.
AUDIT ?= 30s
audit:
	$(GO) test -v -count=1 -timeout 10m -run '^TestSustained$$' ./internal/auditlog -args -rate 20000 -length $(AUDIT) -busy
	$(GO) test -run '^$$' -bench 'Append|Write' -benchmem ./internal/auditlog
