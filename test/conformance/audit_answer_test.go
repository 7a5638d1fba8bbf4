package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestAnswersThatAreLeftToOthers: a record says who has answered, where it was not the API that decided. The site's
// error routes can send what an API refuses to a service, and so can a handler around the API.
func TestAnswersThatAreLeftToOthers(t *testing.T) {
	t.Parallel()
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "moved") }))
	t.Cleanup(moved.Close)
	a, rewrite := startAudited(t)
	rewrite(strings.ReplaceAll(`api closed /closed {
		public
	}
	handle_errors 403 {
		reverse_proxy SERVICE
	}
	handle_errors 404 {
		api fallback {
			public
			respond "here instead" 200
		}
	}
	intercept {
		@anonymous status 401
		handle_response @anonymous {
			reverse_proxy SERVICE
		}
	}`, "SERVICE", strings.TrimPrefix(moved.URL, "http://")))
	a.reload()

	var left string
	for name, test := range map[string]struct {
		path, token string
		status      int
		outcome     string
		recorded    int
		answer      any
	}{
		"error routes":       {"/pay", a.issuer.Token(tokentest.Claim("scope", "nothing")), 200, "refused", 403, "error_routes"},
		"a handler around":   {"/pay", "", 200, "refused", 401, "intercepted"},
		"the service itself": {"/pay", a.issuer.Token(tokentest.Claim("scope", "payments:read")), 200, "allowed", 200, nil},
	} {
		status, id := a.call(test.path, test.token)
		record := a.recordOf(id)
		if status != test.status || record["outcome"] != test.outcome || record["status"] != float64(test.recorded) || record["answer"] != test.answer {
			t.Errorf("%s: %d, %v", name, status, record)
		}
		if test.answer == "error_routes" {
			left = id
		}
	}

	// Both records of a request that an API of the error routes answered are found by the id of its answer.
	status, id := a.call("/closed", "")
	var records string
	waitFor(t, "both records of "+id, func() bool {
		var err error
		records, err = a.audit("export", a.dir, "--request-id", id)
		return err == nil && strings.Count(records, "\n") == 2
	})
	refused, allowed, _ := strings.Cut(records, "\n")
	if status != 200 || !strings.Contains(refused, `"api":"fallback"`) == !strings.Contains(allowed, `"api":"fallback"`) || !strings.Contains(records, `"status":404,"answer":"error_routes"`) {
		t.Errorf("%d\n%s", status, records)
	}

	// Whoever checks a proof is told what it does not prove.
	key, proof := filepath.Join(a.dir, "public.key"), filepath.Join(t.TempDir(), "proof.json")
	waitFor(t, "a checkpoint that covers "+left, func() bool {
		output, err := a.audit("prove", a.dir, "--request-id", left)
		return err == nil && os.WriteFile(proof, []byte(output[strings.Index(output, "{"):]), 0o600) == nil
	})
	output, err := a.audit("check", proof, "--key", key)
	if err != nil || !strings.Contains(output, "proved: record") || !strings.Contains(output, "error routes") || !strings.Contains(output, "may have reached a service") {
		t.Errorf("check: %s, %v", output, err)
	}
	if output, err := a.audit("export", a.dir, "--answer", "error_routes", "--api", "pay", "--format", "csv"); err != nil || strings.Count(output, "\n") != 2 || !strings.Contains(output, ",answer\n") || !strings.HasSuffix(output, ",error_routes\n") {
		t.Errorf("export: %s, %v", output, err)
	}
	if output, err := a.audit("tail", a.dir, "--answer", "somebody"); err == nil || !strings.Contains(output, "error_routes, intercepted") {
		t.Errorf("tail: %s, %v", output, err)
	}
}
