package redisclient_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/redisclient"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// secure gives the URL of a Redis with the parameters that name files.
func secure(addr string, files ...string) string {
	query := make(url.Values)
	for i := 0; i < len(files); i += 2 {
		query.Set(files[i], files[i+1])
	}
	return "rediss://" + addr + "?" + query.Encode()
}

// TestTLS: a Redis that asks for a certificate and has one of a private authority.
func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := testenv.NewAuthority(t), testenv.NewAuthority(t)
	_, addr := testenv.NewRedisTLS(t, ours)
	cert, key := ours.Issue("edge")
	stranger, strangersKey := theirs.Issue("stranger")
	for name, tt := range map[string]struct{ url, want string }{
		"all of it":          {secure(addr, "ca_file", ours.File, "cert_file", cert, "key_file", key), ""},
		"the system's roots": {secure(addr, "cert_file", cert, "key_file", key), "certificate signed by unknown authority"},
		"another authority":  {secure(addr, "ca_file", theirs.File, "cert_file", cert, "key_file", key), "certificate signed by unknown authority"},
		"no certificate":     {secure(addr, "ca_file", ours.File), "certificate required"},
		"a stranger's":       {secure(addr, "ca_file", ours.File, "cert_file", stranger, "key_file", strangersKey), "tls"},
		"no TLS":             {"redis://" + addr, "EOF"},
	} {
		client, err := redisclient.New(tt.url)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		err = client.Ping(t.Context()).Err()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		_ = client.Close()
	}
}

// TestCertificatesAreReadAnew for each connection: one that ends is replaced without a restart.
func TestCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	ours, theirs := testenv.NewAuthority(t), testenv.NewAuthority(t)
	_, addr := testenv.NewRedisTLS(t, ours)
	cert, key := theirs.Issue("old")
	client, err := redisclient.New(secure(addr, "ca_file", ours.File, "cert_file", cert, "key_file", key))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a stranger's certificate is taken")
	}
	fresh, freshKey := ours.Issue("new")
	for from, to := range map[string]string{fresh: cert, freshKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

// TestTLSMistakes are found when the URL is read, and name the file.
func TestTLSMistakes(t *testing.T) {
	t.Parallel()
	ours := testenv.NewAuthority(t)
	cert, key := ours.Issue("edge")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		secure("a:1", "ca_file", "/none.pem"):               "ca_file: open /none.pem",
		secure("a:1", "ca_file", empty):                     "no certificate in " + empty,
		secure("a:1", "cert_file", cert):                    "go together",
		secure("a:1", "key_file", key):                      "go together",
		secure("a:1", "cert_file", key, "key_file", cert):   "cert_file, key_file: ",
		"redis://a:1?ca_file=" + url.QueryEscape(ours.File): "for rediss://",
		"rediss://user:canary@a:1?skip_verify=true":         "skip_verify",
	} {
		if _, err := redisclient.Parse(raw); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
	for _, more := range []string{"", "&addr=b:2", "&cluster=true", "&master_name=m"} {
		raw := secure("a:1", "ca_file", ours.File, "cert_file", cert, "key_file", key) + more
		if _, err := redisclient.Parse(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
