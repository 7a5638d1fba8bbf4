package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// screens are the sizes at which each page is looked at.
var screens = map[string][2]int64{"desktop": {1280, 900}, "phone": {390, 844}}

// TestInChromium buys in a real browser, at the size of a desk and of a phone,
// and keeps a screenshot of each page in test/artefacts for a person to look at.
func TestInChromium(t *testing.T) {
	t.Parallel()
	d := shared(t)
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range screens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &visit{t: t, ctx: chromium(t, d), screen: name}
			v.do("opening the shop", chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(d.ShopURL), chromedp.WaitVisible(`[data-testid^="add-"]`))
			v.look("1-shop")
			// The shop shows the basket next. Only that page has the button to pay.
			v.do("putting something in the basket", chromedp.Click(`[data-testid^="add-"]`), chromedp.WaitVisible(`[data-testid="pay"]`))
			v.look("2-basket")
			v.do("going to pay", chromedp.Click(`[data-testid="pay"]`), chromedp.WaitVisible(`form[action$="/login"] button`))
			v.look("3-login")
			v.do("a wrong password", chromedp.SendKeys(`input[name="username"]`, d.Users[1].Username),
				chromedp.SendKeys(`input[name="password"]`, "not the password"), chromedp.Click(`form[action$="/login"] button`),
				chromedp.WaitVisible(`[role="alert"]`))
			v.look("4-wrong-password")
			v.do("logging in", chromedp.SetValue(`input[name="username"]`, d.Users[1].Username),
				chromedp.SendKeys(`input[name="password"]`, d.Users[1].Password), chromedp.Click(`form[action$="/login"] button`),
				chromedp.WaitVisible(`button[value="approve"]`))
			v.look("5-consent")
			v.do("approving", chromedp.Click(`button[value="approve"]`), chromedp.WaitVisible(`[data-testid="order-status"]`))
			v.do("waiting for the webhook", chromedp.WaitVisible(`[data-testid="order-status"][data-status="paid"]`))
			v.look("6-paid")
			v.do("an address that is used up", chromedp.Navigate(d.BaseURL+"/oauth/authorize?client_id=shop&request_uri=urn:ietf:params:oauth:request_uri:gone"),
				chromedp.WaitVisible(`main`))
			v.look("7-error")
		})
	}
}

// visit is one walk through the pages.
type visit struct {
	t      *testing.T
	ctx    context.Context
	screen string
}

func (v *visit) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		where, _ := chromedp.Run(v.ctx, chromedp.Location()) // both for the message only
		body, _ := chromedp.Run(v.ctx, chromedp.OuterHTML("html"))
		v.t.Fatalf("%s: %v, at %s:\n%s", what, err, where, body)
	}
}

// cut counts what a person could not read: a page wider than the screen, text
// wider than its box, a control too small for a thumb, a page without style.
const cut = `(() => {
	const found = [];
	if (document.documentElement.scrollWidth > window.innerWidth) found.push('the page is ' + document.documentElement.scrollWidth + ' px wide');
	if (getComputedStyle(document.body).fontFamily.match(/^"?Times/)) found.push('the page has no style');
	for (const e of document.querySelectorAll('h1, h2, p, dt, dd, label, li, button, a')) {
		const style = getComputedStyle(e), box = e.getBoundingClientRect();
		if (box.width <= 1 || style.position === 'absolute') continue; // for screen readers only
		if (e.scrollWidth > e.clientWidth + 1 && style.overflow === 'hidden') found.push('cut: ' + e.textContent.trim());
		if (box.right > window.innerWidth + 1) found.push('off the screen: ' + e.textContent.trim());
		if (e.tagName === 'BUTTON' && box.height < 24) found.push('too small: ' + e.textContent.trim());
	}
	return found;
})()`

// look keeps a screenshot and measures what can be measured of it.
func (v *visit) look(name string) {
	v.t.Helper()
	shot, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		v.t.Fatal(err)
	}
	found, err := chromedp.Run(v.ctx, chromedp.Evaluate[[]string](cut))
	if err != nil {
		v.t.Fatal(err)
	}
	file := filepath.Join(artefacts, name+"-"+v.screen+".png")
	if err := os.WriteFile(file, shot, 0o644); err != nil {
		v.t.Fatal(err)
	}
	for _, f := range found {
		v.t.Errorf("%s on a %s: %s", name, v.screen, f)
	}
}

// chromium starts a browser that trusts the demo's authority and nothing more.
func chromium(t *testing.T, d *demo) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if path, err = exec.LookPath("chromium-browser"); err != nil {
			t.Fatal("chromium is not installed: run make deps")
		}
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("ignore-certificate-errors-spki-list", spki(t, filepath.Join(filepath.Dir(d.CACert), "intermediate.crt"))),
		chromedp.Flag("disable-quic", true),
		chromedp.UserDataDir(t.TempDir()),
		// Chromium's own sandbox refuses to run as root, which containers often are.
		chromedp.Flag("no-sandbox", os.Getuid() == 0),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the browser has left its folder
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(fmt.Errorf("starting chromium: %w", err))
	}
	return ctx
}

// spki names a key as Chromium wants it: the intermediate's, because it looks for
// it among the certificates that the server sends, and a root is never sent.
func spki(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}
