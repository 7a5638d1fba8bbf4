package redisclient_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/redisclient"
	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// documented gives the ACL rule of a user as the operators' page has it.
func documented(t *testing.T, user string) []any {
	t.Helper()
	page, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if rule, found := strings.CutPrefix(line, "user "+user+" "); found {
			args := []any{"ACL", "SETUSER", user}
			for _, word := range strings.Fields(rule) {
				args = append(args, word)
			}
			return args
		}
	}
	t.Fatalf("docs/operators.md has no user %s", user)
	return nil
}

// TestDocumentedUsers: with the rules on the operators' page all works, nothing is refused
// on the way, and nothing else is allowed.
func TestDocumentedUsers(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{"single": nil, "cluster": {"--cluster-enabled", "yes"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedisServer(t, more...)
			admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { _ = admin.Close() })
			query := ""
			if more != nil {
				query = "?cluster=true"
				if err := admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
					t.Fatal(err)
				}
				await(t, "the cluster", func() bool {
					return strings.Contains(admin.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
				})
			}
			as := func(user string) redis.UniversalClient {
				if err := admin.Do(t.Context(), documented(t, user)...).Err(); err != nil {
					t.Fatal(err)
				}
				client, err := redisclient.New("redis://" + user + ":PASSWORD@" + server.Addr() + query)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = client.Close() })
				return client
			}
			edge, auth := as("edge"), as("auth")
			useLimits(t, edge)
			if fresh, err := dpop.NewRedis(edge).Use(t.Context(), dpop.ReplayKey{Proof: [32]byte{1}}, time.Minute); err != nil || !fresh {
				t.Error(fresh, err)
			}
			followRevocations(t, edge, auth)
			if refused := admin.Do(t.Context(), "ACL", "LOG").Val().([]any); len(refused) > 0 {
				t.Errorf("refused on the way: %v", refused)
			}
			for _, user := range []redis.UniversalClient{edge, auth} {
				for _, command := range [][]any{{"GET", "another"}, {"SET", "another", 1}, {"FLUSHALL"}, {"CONFIG", "GET", "*"},
					{"KEYS", "*"}, {"ACL", "LIST"}, {"EVAL", "return redis.call('GET', KEYS[1])", 1, "another"}} {
					if err := user.Do(t.Context(), command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "No permissions") && !strings.Contains(err.Error(), "can't access") {
						t.Errorf("%v: %v, want a refusal", command, err)
					}
				}
			}
		})
	}
}

// useLimits has the limiter do all that it does in Redis: each kind, leases, give-backs,
// charges, what the commands ask, and its node's heartbeat.
func useLimits(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	e := limit.NewEngine(limit.EngineConfig{Store: limit.NewRedis(limit.RedisConfig{Client: client}), Deadline: 5 * time.Second,
		OnChange: func(c limit.Change) { t.Errorf("%+v", c) }})
	var debits []limit.Debit
	for _, c := range []limit.Config{
		{Name: "sliding", Events: 100, Window: time.Hour}, {Name: "day", Kind: limit.Calendar, Period: limit.Day, Events: 100},
		{Name: "pace", Kind: limit.GCRA, Events: 60, Window: time.Hour, Burst: 50}, {Name: "slots", Kind: limit.Concurrency, Events: 5},
	} {
		c.Scope = "acl"
		l, err := limit.New(c)
		if err != nil {
			t.Fatal(err)
		}
		debits = append(debits, limit.Debit{Limit: l, Key: "k", Cost: 2})
	}
	for i, cost := range []int64{1, 4} { // gives one back, charges two more
		d, err := e.Take(t.Context(), debits, nil)
		if err != nil || !d.Allowed {
			t.Fatalf("take %d: %+v, %v", i, d, err)
		}
		e.Settle(debits, d.States, []int64{cost, cost, cost, -1})
		e.Release(debits, d.States)
	}
	for _, d := range debits {
		if _, err := e.Inspect(t.Context(), d.Limit, "k"); err != nil {
			t.Error(err)
		}
	}
	if err := e.Reset(t.Context(), debits[0].Limit, "k"); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// followRevocations publishes one as the authorization server does, and hears of it as an
// edge does; an edge that knows what Redis has lost tells it.
func followRevocations(t *testing.T, edge, auth redis.UniversalClient) {
	t.Helper()
	stream := revocation.NewStream(auth, "")
	const issuer = "https://login.example.com"
	r := revocation.OfGrant(issuer, "grant", time.Now())
	if err := stream.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	follower, err := revocation.NewFollower(revocation.Config{Client: edge})
	if err != nil {
		t.Fatal(err)
	}
	follower.Start(t.Context())
	t.Cleanup(follower.Close)
	await(t, "the edge to hear", func() bool { return follower.Info().Entries == 1 })
	if holds, err := stream.Holds(t.Context(), r); err != nil || !holds {
		t.Error(holds, err)
	}
	if err := revocation.NewStream(edge, "").Revoke(t.Context(), r); err != nil {
		t.Errorf("an edge that restores: %v", err)
	}
}

func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for !ready() {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
