package outbound_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/outbound"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"https://auth.example.com/x?y=z": true, "http://localhost:8081/x": true, "http://127.0.0.1/x": true, "http://[::1]/x": true,
		"http://auth.example.com/x": false, "http://localhost.example.com/x": false, "http://10.0.0.1/x": false,
		"https://a:b@auth.example.com/": false, "https://auth.example.com/#x": false, "https:///x": false,
		"ftp://auth.example.com/": false, "/x": false, "": false, "https://%zz/": false,
	} {
		if err := outbound.CheckURL(url); (err == nil) != good {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := outbound.CheckURL("http://a:CANARY@auth.example.com/"); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("quotes a password: %v", err)
	}
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	given := &http.Client{Timeout: time.Hour}
	for _, c := range []*http.Client{nil, given} {
		restricted := outbound.Restrict(c, time.Second)
		if restricted.Timeout != time.Second || restricted.CheckRedirect(nil, nil) != http.ErrUseLastResponse {
			t.Errorf("%+v", restricted)
		}
	}
	if given.Timeout != time.Hour || given.CheckRedirect != nil {
		t.Error("the client that was given is changed")
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		good   bool
	}{
		{200, "12345678", true}, {200, "", true}, {200, "123456789", false}, {201, "1", false}, {302, "", false}, {500, "1", false},
	} {
		body, err := outbound.ReadBody(&http.Response{StatusCode: test.status, Body: io.NopCloser(strings.NewReader(test.body))}, 8)
		if (err == nil) != test.good || test.good && string(body) != test.body {
			t.Errorf("%d %q: %q, %v", test.status, test.body, body, err)
		}
	}
}
