package limits

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// TestSecuredRedis has edges count in a Redis that wants TLS, a certificate and a user, and
// each of these wrong at the start: requests are refused as the zone says, never answered
// 500; the metrics and the log say what is wrong, and not the password; and when it is
// mended, the edge is back by itself, or by a reload where its own file was wrong.
func TestSecuredRedis(t *testing.T) {
	t.Parallel()
	ours, theirs := testenv.NewAuthority(t), testenv.NewAuthority(t)
	cert, key := ours.Issue("edge")
	const secret = "canary-of-redis"
	for name, tt := range map[string]struct {
		user      string // at the start
		authority *testenv.Authority
		want      string // in the log
	}{
		"nothing is wrong":  {"reset on >" + secret + " ~* +@all", ours, ""},
		"another authority": {"reset on >" + secret + " ~* +@all", theirs, "certificate signed by unknown authority"},
		"wrong password":    {"reset on >another ~* +@all", ours, "WRONGPASS"},
		"no EVALSHA":        {"reset on >" + secret + " ~* +@all -evalsha", ours, "NOPERM"},
		"no key":            {"reset on >" + secret + " ~other +@all", ours, "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, addr := testenv.NewRedisTLS(t, ours)
			admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { _ = admin.Close() })
			setUser := func(rule string) {
				args := []any{"ACL", "SETUSER", "edge"}
				for _, word := range strings.Fields(rule) {
					args = append(args, word)
				}
				if err := admin.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			setUser(tt.user)
			at := func(a *testenv.Authority) string {
				files := url.Values{"ca_file": {a.File}, "cert_file": {cert}, "key_file": {key}}
				return "rediss://edge:" + secret + "@" + addr + "?" + files.Encode()
			}
			backend := newRecorder(t).server.Listener.Addr().String()
			e := startEdge(t, at(tt.authority), backend, m10)
			c, err := dial(e.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			get := func(want ...int) int {
				t.Helper()
				status, err := c.get(m10.name, "caller", clock())
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range want {
					if status == w {
						return status
					}
				}
				t.Fatalf("status %d, want %v", status, want)
				return 0
			}
			if tt.want != "" {
				for range 5 {
					get(http.StatusServiceUnavailable)
				}
				waitFor(t, "the metrics and the log to say it", func() bool {
					return strings.Contains(e.metrics(), "tollgate_rate_limit_redis_away 1") && strings.Contains(e.log.String(), tt.want)
				})
				setUser("reset on >" + secret + " ~* +@all")
				if tt.authority != ours {
					e.reload(edgeConfig(e.addr, e.admin, at(ours), backend, m10))
				}
				mended := time.Now()
				waitFor(t, "the edge to be back", func() bool { return get(http.StatusOK, http.StatusServiceUnavailable) == http.StatusOK })
				t.Logf("back after %v", time.Since(mended))
			} else {
				get(http.StatusOK)
			}
			if n := admit(t, e.addr, m10, "caller"); n != m10.events-1 {
				t.Errorf("%d more pass after 1, of %d", n, m10.events)
			}
			if keys := admin.Keys(t.Context(), "{tollgate:m10}:m10:*").Val(); len(keys) != 1 {
				t.Errorf("keys %q", keys)
			}
			if strings.Contains(e.log.String(), secret) {
				t.Error("the log has the password")
			}
		})
	}
}
