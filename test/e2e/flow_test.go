package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// TestShopIsPaid is what Tollgate is for, on each kind of storage.
func TestShopIsPaid(t *testing.T) {
	t.Parallel()
	t.Run("memory and SQLite", func(t *testing.T) {
		t.Parallel()
		buy(t, shared(t))
	})
	t.Run("Redis and PostgreSQL", func(t *testing.T) {
		t.Parallel()
		buy(t, startDemo(t, "--redis", "redis://"+testenv.Redis(t), "--postgres", testenv.Postgres(t)))
	})
}

func buy(t *testing.T, d *demo) {
	b := newBrowser(t, d)
	before := d.metrics(t)
	shelf := b.get(d.ShopURL)
	shelf.submit("add-"+firstProduct(t, shelf), nil)
	basket := b.get(d.ShopURL + "/basket")
	total := textOf(basket.element("basket-total"))
	p := login(t, d, basket.submit("pay", nil))
	for _, want := range []string{"Corner Shop", strings.TrimSpace(strings.Trim(total, "€EUR \u00a0"))} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the consent page does not show %q:\n%s", want, p.text)
		}
	}
	p = p.submit("approve", nil)
	p = waitPaid(t, b, p)
	if got := p.url.String(); !strings.HasPrefix(got, d.ShopURL) {
		t.Errorf("the customer ended at %s", got)
	}

	// Every call of the shop was counted at the edge.
	after := d.metrics(t)
	for _, series := range []string{
		`tollgate_requests_total{api="payments",code="201",method="POST"}`,
		`tollgate_requests_total{api="payments",code="200",method="POST"}`,
	} {
		if after[series] <= before[series] {
			t.Errorf("%s did not count: %v, then %v", series, before[series], after[series])
		}
	}
}

func login(t *testing.T, d *demo, p *page) *page {
	t.Helper()
	if !p.asksForLogin() {
		t.Fatalf("no login form at %s: %d\n%s", p.url, p.status, p.text)
	}
	for name, want := range map[string]string{"X-Frame-Options": "", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store"} {
		if got := p.header.Get(name); want != "" && !strings.Contains(got, want) {
			t.Errorf("login page: %s: %q lacks %q", name, got, want)
		}
	}
	return p.submit("Sign in", map[string][]string{"username": {d.Users[0].Username}, "password": {d.Users[0].Password}})
}

func firstProduct(t *testing.T, p *page) string {
	t.Helper()
	n := find(p.root, func(n *html.Node) bool { return strings.HasPrefix(attr(n, "data-testid"), "add-") })
	if n == nil {
		t.Fatalf("no product in the shop:\n%s", p.text)
	}
	return strings.TrimPrefix(attr(n, "data-testid"), "add-")
}

// waitPaid reloads the order's page, as its meta refresh does, until the webhook has come in.
func waitPaid(t *testing.T, b *browser, p *page) *page {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		status := p.element("order-status")
		if status == nil {
			t.Fatalf("no order at %s: %d\n%s", p.url, p.status, p.text)
		}
		if attr(status, "data-status") == "paid" {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("not paid in 20 s:\n%s", p.text)
		}
		p = b.get(p.url.String())
	}
}

// TestDeniedConsent: the customer says no, and is told so kindly in the shop.
func TestDeniedConsent(t *testing.T) {
	t.Parallel()
	d := shared(t)
	b := newBrowser(t, d)
	shelf := b.get(d.ShopURL)
	shelf.submit("add-"+firstProduct(t, shelf), nil)
	p := login(t, d, b.get(d.ShopURL+"/basket").submit("pay", nil)).submit("deny", nil)
	if status := p.element("order-status"); status == nil || attr(status, "data-status") == "paid" {
		t.Errorf("after a refusal: %s %d\n%s", p.url, p.status, p.text)
	}
}

// TestStrangersClient walks the flow with npm's openid-client, for both kinds of clients.
func TestStrangersClient(t *testing.T) {
	t.Parallel()
	d := shared(t)
	folder := testenv.NPM(t, "openid-client")
	for _, id := range []string{"shop", "demo-fapi"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			walkWithOpenIDClient(t, d, folder, d.client(t, id))
		})
	}
}

func walkWithOpenIDClient(t *testing.T, d *demo, folder string, app client) {
	cmd := testenv.Node(t, folder, "walk.mjs", filepath.Join(d.dir, "demo.json"), app.ClientID)
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+d.CACert)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var done map[string]any
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var said struct {
			Authorize string
			Done      map[string]any
		}
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if done = said.Done; said.Authorize != "" {
			back := d.consent(t, newBrowser(t, d), said.Authorize, app.RedirectURIs[0])
			if _, err := io.WriteString(stdin, back.String()+"\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || done == nil {
		t.Fatalf("openid-client: %v\n%s", err, stderr.String())
	}
	t.Log(done)
}

// metrics reads the edge's counters: series to value.
func (d *demo) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	res, err := http.Get(d.MetricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return parseMetrics(t, res.Body)
}
