package tollgate

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestASummaryOfAPart: what a comparison that was cut has found is not told as if it were all.
func TestASummaryOfAPart(t *testing.T) {
	t.Parallel()
	opened := func(routes string) *loaded {
		text := []byte(`{"apps":{"http":{"servers":{"s":{"listen":[":80"],"routes":[` + routes + `]}}}}}`)
		return &loaded{hash: "hash of " + routes, model: func() (*policy.Config, error) { return policy.Parse(text) }}
	}
	withChanges := func(complete bool) *loaded {
		l := opened("")
		l.changes = &policy.DiffResult{Changes: []*policy.Change{{Direction: policy.Widened}}, Complete: complete}
		if !complete {
			l.changes.Cut = []string{"all, in the time there was"}
		}
		return l
	}
	over, end := context.WithCancel(t.Context())
	end()
	for name, test := range map[string]struct {
		ctx         context.Context
		after       *loaded
		want, never string
	}{
		"all":            {t.Context(), withChanges(true), `"detail":"1 widened, 0 narrowed, 0 moved"`, "not_analysed"},
		"cut":            {t.Context(), withChanges(false), `"detail":"not complete, at least: 1 widened, 0 narrowed, 0 moved"`, "interrupted"},
		"the guard's":    {over, withChanges(false), `"detail":"not complete, at least: 1 widened, 0 narrowed, 0 moved"`, "interrupted"},
		"another reload": {over, opened(`{"handle":[{"handler":"static_response"}]}`), "interrupted by the next reload", `"detail":"0 widened`},
	} {
		dir := filepath.Join(t.TempDir(), "audit")
		log, err := auditlog.Open(auditlog.Config{Dir: dir, Origin: "edge.test/audit"})
		if err != nil {
			t.Fatal(err)
		}
		a := &App{policy: test.after, auditLog: log}
		a.recordChanges(test.ctx, opened(""))
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		if err := auditlog.Records(dir, 0, func(_ int64, text []byte) bool { all.Write(append(text, '\n')); return true }); err != nil {
			t.Fatal(err)
		}
		if got := all.String(); !strings.Contains(got, test.want) || strings.Contains(got, test.never) || !strings.Contains(got, `"outcome":"summary"`) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}
