package e2e

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReloadLosesNothing reloads the edge's configuration again and again while
// requests come in, up to the limit: each is answered, exactly as many as the
// limit allows are admitted, and the counters go on.
func TestReloadLosesNothing(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.http(t)
	token := d.clientToken(t, c, d.client(t, "demo-service"), "payments:read")
	list := request{method: "GET", path: "/api/payments", token: token}
	first := d.call(t, c, list)
	if first.status != 200 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	limit := smallestQuota(t, first.header)
	before := sum(d.metrics(t), "tollgate_requests_total", `api="payments"`)

	admitted, denied := atomic.Int64{}, atomic.Int64{}
	admitted.Add(1)
	stop := make(chan struct{})
	var reloads, senders sync.WaitGroup
	reloads.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				d.reload(t)
			}
		}
	})
	for range 4 {
		senders.Go(func() {
			own := d.http(t)
			for denied.Load() < 20 {
				switch a := d.call(t, own, list); a.status {
				case 200:
					admitted.Add(1)
				case 429:
					denied.Add(1)
				default:
					t.Errorf("lost a request: %d %s", a.status, a.body)
					return
				}
			}
		})
	}
	senders.Wait()
	close(stop)
	reloads.Wait()

	if got := admitted.Load(); got != limit {
		t.Errorf("%d requests were admitted, the limit is %d", got, limit)
	}
	counted := sum(d.metrics(t), "tollgate_requests_total", `api="payments"`) - before
	if want := float64(admitted.Load() - 1 + denied.Load()); counted != want {
		t.Errorf("the edge counted %v requests, %v were sent", counted, want)
	}
	refused(t, d.call(t, c, list), 429, "quota_exceeded")
	if last := d.call(t, c, list); last.header.Get("Retry-After") == "" {
		t.Error("a 429 without Retry-After")
	}
}

// reload loads the running configuration once more, as `tollgate reload --force` does.
func (d *demo) reload(t *testing.T) {
	t.Helper()
	res, err := http.Get(d.AdminURL + "/config/")
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	config, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
		return
	}
	req, err := http.NewRequest(http.MethodPost, d.AdminURL+"/load", bytes.NewReader(config))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cache-Control", "must-revalidate")
	loaded, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = loaded.Body.Close() }()
	if loaded.StatusCode != 200 {
		body, _ := io.ReadAll(loaded.Body) // the status is the failure
		t.Errorf("reload: %s %s", loaded.Status, body)
	}
}

var quota = regexp.MustCompile(`;q=(\d+)`)

// smallestQuota reads the limits of a minute from RateLimit-Policy.
func smallestQuota(t *testing.T, h http.Header) int64 {
	t.Helper()
	policy := strings.Join(h.Values("RateLimit-Policy"), ", ")
	smallest := int64(0)
	for _, m := range quota.FindAllStringSubmatch(policy, -1) {
		q, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if smallest == 0 || q < smallest {
			smallest = q
		}
	}
	if smallest == 0 || !strings.Contains(policy, ";w=60") {
		t.Fatalf("RateLimit-Policy: %q", policy)
	}
	return smallest
}
