package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// blocks gives the code of one kind in a page of the docs.
func blocks(t *testing.T, page, kind string) (code []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range strings.Split(string(text), "\n```"+kind+"\n")[1:] {
		block, _, closed := strings.Cut(rest, "\n```\n")
		if !closed {
			t.Fatalf("%s: a block of %s does not end", page, kind)
		}
		code = append(code, block)
	}
	if len(code) == 0 {
		t.Fatalf("%s has no %s", page, kind)
	}
	return code
}

// TestGuideWithCurl runs what docs/guide.md tells to type, as it is there.
func TestGuideWithCurl(t *testing.T) {
	t.Parallel()
	d := shared(t)
	typed(t, "guide.md", map[string]string{"bin": bin, "data": d.dir},
		`"issuer":"`+d.Issuer, `"status":"requires_consent"`, `/oauth/authorize?client_id=my-app`, `"status":"succeeded"`,
		`"amount":{"value":4500,"currency":"EUR"}`, `"captured":{"value":12350,`, `"refunded":{"value":4500,`,
		`"type":"payment.succeeded"`, `"type":"payment.refunded"`)
}

// typed runs what a page of the docs tells to type, in a folder with links to what is there,
// and wants the output to have all of these, in this order.
func typed(t *testing.T, page string, links map[string]string, wants ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.Join(blocks(t, page, "sh"), "\n"))
	cmd.Dir = folder
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	rest := string(said)
	for _, want := range wants {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %s in what is left of the output:\n%s\n---- all of it:\n%s", want, rest, said)
		}
		rest = after
	}
	return folder
}

// TestGuideInGo: what the guide quotes is in the program, and the program walks all
// of the way while somebody with a browser approves.
func TestGuideInGo(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../examples/guide/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, quoted := range blocks(t, "guide.md", "go") {
		if !strings.Contains(string(source), quoted+"\n") {
			t.Errorf("examples/guide has no\n%s", quoted)
		}
	}
	d := shared(t)
	callback := "http://localhost:" + strconv.Itoa(freePort(t)) + "/callback"
	secret := register(t, d, "guide-app", callback)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "guide"), "-base", d.BaseURL, "-ca", d.CACert, "-client", "guide-app", "-callback", callback)
	cmd.Env = append(os.Environ(), "CLIENT_SECRET="+secret)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if address, found := strings.CutPrefix(lines.Text(), "open "); found {
			approveAndReturn(t, d, address, callback)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s\n%s", err, failure.String(), said.String())
	}
	for _, want := range []string{"requires_consent\n", "succeeded\n", "refunded 4500 EUR\n", "told payment.succeeded\ntold payment.refunded\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, said.String())
		}
	}
}

// approveAndReturn is the user's part: the browser ends at the app.
func approveAndReturn(t *testing.T, d *demo, address, callback string) {
	t.Helper()
	b := newBrowser(t, d)
	back := d.consent(t, b, address, callback)
	b.stopAt = ""
	if p := b.get(back.String()); p.status != 200 || !strings.Contains(p.text, "Thank you") {
		t.Errorf("the app answers its browser %d %s", p.status, p.text)
	}
}

// register is the operator's part of the guide, for another app.
func register(t *testing.T, d *demo, id, callback string) (secret string) {
	t.Helper()
	var added struct {
		Secret string `json:"client_secret"`
	}
	d.operator(t, "", &added, "auth", "client", "add", "--id", id, "--name", id, "--kind", "standard", "--redirect-uri", callback,
		"--grant", "authorization_code,client_credentials", "--scope", "payments:create,payments:read,payments:confirm,payments:refund,webhooks:read")
	var merchant any
	d.operator(t, "", &merchant, "payments", "merchant", "add", "--client", id, "--name", id, "--currency", "EUR")
	return added.Secret
}
