package policy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// TestProveWaits: for what can come yet, no longer than it is told, and for nothing else.
func TestProveWaits(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, l := auditLog(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		time.Sleep(time.Second) // the wait begins before, or the record is there already: it is proved in both
		l.Append(auditlog.Record{Kind: auditlog.KindDecision, RequestID: "request-1"})
	}()
	if out, code := runCommand(t, tollgate, "audit", "prove", dir, "--request-id", "request-1", "--wait", "5m"); code != 0 || !strings.Contains(out, "request-1") {
		t.Errorf("a record that comes: %d\n%s", code, out)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"one that does not": {[]string{dir, "--request-id", "request-2", "--wait", "300ms"}, "no record of request request-2"},
		"a number":          {[]string{dir, "--number", "99", "--wait", "300ms"}, "no checkpoint covers record 99 yet"},
		"no id":             {[]string{dir, "--request-id", "", "--wait", "1h"}, "one of --number and --request-id is needed"},
		"no folder":         {[]string{"/nowhere", "--key", filepath.Join(dir, "public.key"), "--request-id", "request-1", "--wait", "1h"}, "/nowhere"},
		"no key":            {[]string{dir, "--key", "/nowhere", "--request-id", "request-1", "--wait", "1h"}, "/nowhere"},
		"no time":           {[]string{dir, "--request-id", "request-1", "--wait", "soon"}, "soon"},
	} {
		if out, code := runCommand(t, tollgate, append([]string{"audit", "prove"}, test.args...)...); code == 0 || !strings.Contains(out, test.want) {
			t.Errorf("%s: %d\n%s", name, code, out)
		}
	}
}
