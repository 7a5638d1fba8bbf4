package payments

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/fault"
)

// lateness is what a busy machine may add to the lease.
const lateness = 10 * time.Second

// Two instances share one PostgreSQL, and one is killed with payments in its hands:
// the other has carried these out when their lease has run out, and lets nothing else wait.
func TestAKilledInstanceCostsItsLease(t *testing.T) {
	t.Parallel()
	for _, point := range []string{fault.AfterClaim, fault.BeforeWorkCommit} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, fresh.Postgres(t))
			for _, problem := range p.killOneOfTwo(buildProgram(t), point) {
				t.Error(problem)
			}
			p.booksAreRight()
		})
	}
}

func TestALeaseThatDoesNotEndIsNoticed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.Postgres(t))
	mutant := buildMutant(t, mutation{"queue.go", "jobLease = 15 * time.Second", "jobLease = time.Hour"})
	if len(p.killOneOfTwo(mutant, fault.AfterClaim)) == 0 {
		t.Error("it was not noticed")
	}
}

// killOneOfTwo runs two instances of a program, one of which dies at the point, and
// gives what took longer than it may.
func (p *platform) killOneOfTwo(program, point string) (problems []string) {
	p.t.Helper()
	keys := httptest.NewServer(p.issuer.Handler())
	defer keys.Close()
	keyFile := filepath.Join(p.t.TempDir(), "key")
	doomed, other := p.serveProgram(program, keys.URL, keyFile, point), p.serveProgram(program, keys.URL, keyFile, "")
	killed := p.confirmUntilItDies(doomed)
	orphans := p.count(`SELECT count(*) FROM jobs WHERE due_at > $1`, killed.UnixMicro())
	if orphans == 0 {
		p.t.Fatal("it died with nothing in its hands")
	}
	const more = 20
	for range more {
		p.confirmAt(other)
	}
	// What the dead one held is all that is left.
	wait := func(jobs int, longest time.Duration) (took time.Duration) {
		for time.Since(killed) < longest && p.count(`SELECT count(*) FROM jobs`) > jobs {
			time.Sleep(10 * time.Millisecond)
		}
		return time.Since(killed)
	}
	if took := wait(orphans, jobLease+lateness); took >= jobLease {
		problems = append(problems, fmt.Sprintf("payments that nobody held were carried out after %v only", took))
	}
	took := wait(0, jobLease+lateness)
	if left := p.count(`SELECT count(*) FROM jobs`); left > 0 {
		problems = append(problems, fmt.Sprintf("%d payments are left %v after the instance died", left, took))
	}
	p.t.Logf("%d payments of the dead instance were carried out after %v", orphans, took)
	return problems
}

// confirmUntilItDies leaves payments to the workers of an instance and gives the time
// of its death.
func (p *platform) confirmUntilItDies(doomed *process) time.Time {
	p.t.Helper()
	for {
		select {
		case <-doomed.ended:
			return time.Now()
		default:
			p.confirmAt(doomed)
		}
	}
}

// confirmAt confirms a payment at an instance, for later. The instance may be dead.
func (p *platform) confirmAt(at *process) {
	p.t.Helper()
	status, _, body, err := at.post(p.later(p.create(1)))
	var v paymentView
	if err == nil && (json.Unmarshal(body, &v) != nil || status != 202 || v.Status != Processing) {
		p.t.Fatalf("got %d %s", status, body)
	}
}
