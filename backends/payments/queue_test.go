package payments

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/fault"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
)

// later is ada's confirmation that a worker is to carry out.
func (p *platform) later(v paymentView) request {
	p.t.Helper()
	q := p.confirmation(v)
	q.header = map[string]string{"Prefer": "wait=5, respond-async"}
	return q
}

// work runs the instance's workers until nothing waits.
func (p *platform) work(s *Server) {
	p.t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.workers.round(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestConfirmLater(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		q := p.later(v)
		a := p.call(q).expect(202, "")
		if h := a.Header(); h.Get("Location") != "/api/payments/"+v.ID || h.Get("Retry-After") != "1" || h.Get("Preference-Applied") != "respond-async" {
			t.Errorf("header %v", h)
		}
		if got := a.payment(); got.Status != Processing || got.ISO20022Status != "PDNG" || got.Captured.Value != 0 {
			t.Errorf("got %s", a.Body)
		}
		if again := p.call(q).expect(202, ""); again.Body.String() != a.Body.String() || again.Header().Get(idempotency.ReplayedHeader) == "" {
			t.Errorf("the replay differs: %s", again.Body)
		}
		p.call(p.do(v.ID, "cancel", nil)).expect(409, "payment_not_cancelable")
		p.booksAreRight()
		waiting, age, err := backlog(t.Context(), p.db, p.now().Add(time.Minute))
		if err != nil || waiting != 1 || age != time.Minute {
			t.Errorf("the backlog is %d for %s, %v", waiting, age, err)
		}
		p.work(p.server)
		if got := p.read(v.ID); got.Status != Succeeded || got.Captured.Value != 100 {
			t.Errorf("got %+v", got)
		}
		if n := p.count(`SELECT count(*) FROM events WHERE type = 'payment.succeeded'`); n != 1 {
			t.Errorf("told %d times", n)
		}
		p.booksAreRight()
	})
}

func TestEveryOutcomeLater(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		poor := p.create(100_001)
		p.call(p.later(poor)).expect(202, "")
		body := order(100)
		body["capture_method"] = "manual"
		held := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).expect(201, "").payment()
		p.call(p.later(held)).expect(202, "")
		p.work(p.server)
		if got := p.read(poor.ID); got.Status != Rejected || got.ReasonCode != insufficientFunds {
			t.Errorf("got %+v", got)
		}
		if got := p.read(held.ID); got.Status != RequiresCapture {
			t.Errorf("got %+v", got)
		}
		p.booksAreRight()
	})
}

// A worker that took a payment and is gone costs its lease. One that comes back
// after that, to finish what another has finished, changes nothing.
func TestALeaseRunsOut(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		p.call(p.later(v)).expect(202, "")
		lost, err := p.server.workers.claim(t.Context())
		if err != nil || len(lost) != 1 {
			t.Fatalf("took %v, %v", lost, err)
		}
		p.work(p.server)
		if p.read(v.ID).Status != Processing {
			t.Error("it was carried out in spite of the lease")
		}
		p.advance(jobLease)
		p.work(p.server)
		if p.read(v.ID).Status != Succeeded {
			t.Error("it was not carried out after the lease")
		}
		if err := p.server.workers.carryOut(t.Context(), lost[0]); err != nil {
			t.Error(err)
		}
		p.booksAreRight()
		if p.available(p.wallet) != 99_900 {
			t.Errorf("the wallet has %d", p.available(p.wallet))
		}
	})
}

// Who stops finishes what is begun and hands back what is not.
func TestAStoppedWorkerHandsBack(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		const n = 5
		for range n {
			p.call(p.later(p.create(100))).expect(202, "")
		}
		ctx, stop := context.WithCancel(t.Context())
		jobs, err := p.server.workers.claim(ctx)
		if err != nil || len(jobs) != n {
			t.Fatalf("took %d, %v", len(jobs), err)
		}
		for _, j := range jobs {
			if err := p.server.workers.postpone(ctx, j, 0); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if err := p.server.workers.Run(ctx); err != nil {
			t.Error(err)
		}
		// The clock stands still: what is due now was handed back.
		if due := p.count(`SELECT count(*) FROM jobs WHERE due_at <= $1`, p.now().UnixMicro()); due+p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`) != n {
			t.Errorf("%d are due", due)
		}
		p.work(p.server)
		if done := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); done != n {
			t.Errorf("%d were carried out", done)
		}
		p.booksAreRight()
	})
}

// Two instances on one database share the work: each payment is carried out once.
func TestTwoInstancesShareTheWork(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		keys := httptest.NewServer(p.issuer.Handler())
		defer keys.Close()
		first, second := p.server, p.newServer(keys.URL)
		const n = 40
		for range n {
			p.call(p.later(p.create(100))).expect(202, "")
		}
		done := make(chan error, 2)
		ctx, stop := context.WithCancel(t.Context())
		for _, s := range []*Server{first, second} {
			go func() { done <- s.workers.Run(ctx) }()
		}
		for deadline := time.Now().Add(60 * time.Second); p.count(`SELECT count(*) FROM jobs`) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("they did not come to an end")
			}
		}
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); n != 40 || p.available(p.merchant) != 4000 {
			t.Errorf("%d succeeded, and the merchant has %d", n, p.available(p.merchant))
		}
		p.booksAreRight()
	})
}

// A real process is killed with payments in its hands: another carries them out.
func TestAKilledWorker(t *testing.T) {
	t.Parallel()
	for _, point := range []string{fault.AfterClaim, fault.BeforeWorkCommit, fault.AfterWorkCommit} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(p *platform) {
				keys := httptest.NewServer(p.issuer.Handler())
				defer keys.Close()
				keyFile := filepath.Join(t.TempDir(), "key")
				v := p.create(100)
				p.call(p.later(v)).expect(202, "")
				doomed := p.serve(keys.URL, keyFile, point)
				if !doomed.diedBySignal() {
					t.Fatalf("it ended otherwise: %v", doomed.cmd.ProcessState)
				}
				p.advance(time.Minute + jobLease) // past the lease that the process took by its own clock
				// PostgreSQL takes a moment to see that it is gone, and to let go of its rows.
				for deadline := time.Now().Add(30 * time.Second); p.count(`SELECT count(*) FROM jobs`) > 0 && time.Now().Before(deadline); {
					p.work(p.server)
				}
				if got := p.read(v.ID); got.Status != Succeeded {
					t.Errorf("got %+v", got)
				}
				if n := p.count(`SELECT count(*) FROM events WHERE type = 'payment.succeeded'`); n != 1 || p.available(p.wallet) != 99_900 {
					t.Errorf("told %d times; the wallet has %d", n, p.available(p.wallet))
				}
				p.booksAreRight()
			})
		})
	}
}

func TestPrefer(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"": false, "respond-async": true, "Respond-Async": true, "wait=10": false, "wait=10, respond-async": true,
		"respond-async; x=y": true, "respond-asynchronously": false, ",,": false,
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Prefer", value)
		if got := prefersAsync(r); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
