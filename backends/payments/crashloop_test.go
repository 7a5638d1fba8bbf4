package payments

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/fault"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// crashRounds is how often each loop kills the service. `make crash ROUNDS=200` does
// it for longer.
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ROUNDS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ROUNDS=%s", text)
	}
	return n
}

// crashLoop is a shop that goes on doing business with a service that is killed over
// and over. Whatever is not answered it repeats with the same key, as a client should.
type crashLoop struct {
	*platform
	program, keyFile string
	keys, shop       *httptest.Server

	mu       sync.Mutex
	running  *process // nil while there is none
	stopping bool
	problems []string
	orders   map[string]*orderOfLoop // by payment
	created  int                     // payments that were answered with 201
	told     map[string]bool         // payments of which the shop was told that they succeeded
}

// orderOfLoop is what the shop was answered about a payment.
type orderOfLoop struct{ amount, captured, refunded int64 }

func newCrashLoop(p *platform, program string) *crashLoop {
	c := &crashLoop{
		platform: p, program: program, keyFile: filepath.Join(p.t.TempDir(), "key"),
		keys: httptest.NewServer(p.issuer.Handler()), orders: map[string]*orderOfLoop{}, told: map[string]bool{},
	}
	p.t.Cleanup(c.keys.Close)
	c.shop = httptest.NewServer(http.HandlerFunc(c.hook))
	p.t.Cleanup(c.shop.Close)
	secrets, err := OpenVault(c.keyFile)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := outbox.AddEndpoint(p.t.Context(), p.db, secrets, "shop", c.shop.URL, false, p.now()); err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (c *crashLoop) hook(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Type string
		Data struct{ ID string }
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &said) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if said.Type == "payment.succeeded" {
		c.told[said.Data.ID] = true
	}
}

func (c *crashLoop) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *crashLoop) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.problems) > 0
}

func (c *crashLoop) set(proc *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = proc
}

func (c *crashLoop) current() (proc *process, stopping bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running, c.stopping
}

// errUnanswered ends a saga whose call nobody answers any more.
var errUnanswered = errors.New("unanswered")

// ask makes a call until it is answered, by whichever process there is.
func (c *crashLoop) ask(q request) (status int, body []byte, err error) {
	q.key = uuid.NewString()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		proc, _ := c.current()
		if proc == nil {
			continue
		}
		status, _, body, err := proc.post(q)
		var refusal struct{ Code string }
		if err != nil || status >= 500 {
			continue
		}
		// PostgreSQL takes a moment to see that who held the key is gone.
		if _ = json.Unmarshal(body, &refusal); refusal.Code == "idempotency_key_in_use" {
			continue
		}
		return status, body, nil
	}
	c.problem("%s was not answered within a minute", q.path)
	return 0, nil, errUnanswered
}

// saga is one order after another, from its payment to its refunds.
func (c *crashLoop) saga() {
	for {
		if _, stopping := c.current(); stopping || c.broken() {
			return
		}
		if err := c.order(); err != nil {
			return
		}
	}
}

func (c *crashLoop) order() error {
	body := order(1 + rand.Int64N(300))
	held := rand.IntN(2) == 0
	if held {
		body["capture_method"] = "manual"
	}
	status, answer, err := c.ask(request{path: "/api/payments", token: c.doingToken(), body: body})
	if err != nil {
		return err
	}
	var v paymentView
	if err := json.Unmarshal(answer, &v); err != nil || status != 201 {
		c.problem("a payment: %d %s", status, answer)
		return errUnanswered
	}
	o := &orderOfLoop{amount: v.Amount.Value}
	c.mu.Lock()
	c.created++
	c.orders[v.ID] = o
	c.mu.Unlock()
	return c.confirmAndGoOn(v, o, held)
}

func (c *crashLoop) confirmAndGoOn(v paymentView, o *orderOfLoop, held bool) error {
	q := c.confirmation(v)
	if rand.IntN(3) == 0 {
		q.header = map[string]string{"Prefer": "respond-async"}
	}
	status, answer, err := c.ask(q)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &v); err != nil || status > 202 {
		c.problem("a confirmation: %d %s", status, answer)
		return errUnanswered
	}
	o.captured = v.Captured.Value
	if v.Status != Succeeded && v.Status != RequiresCapture {
		return nil
	}
	for range rand.IntN(3) {
		if held {
			if err := c.moveSome(v.ID, "captures", &o.captured, o.amount); err != nil {
				return err
			}
		}
	}
	if o.captured > 0 && rand.IntN(2) == 0 {
		return c.moveSome(v.ID, "refunds", &o.refunded, o.captured)
	}
	if held && rand.IntN(3) == 0 {
		_, _, err = c.ask(c.do(v.ID, "cancel", object{}))
	}
	return err
}

// moveSome captures or refunds a part, and adds what was answered to the sum.
func (c *crashLoop) moveSome(id, what string, sum *int64, limit int64) error {
	if *sum >= limit {
		return nil
	}
	status, answer, err := c.ask(c.do(id, what, cents(1+rand.Int64N(limit-*sum))))
	if err != nil {
		return err
	}
	var moved movedView
	if err := json.Unmarshal(answer, &moved); err != nil || status != 201 {
		c.problem("%s: %d %s", what, status, answer)
		return errUnanswered
	}
	*sum += moved.Amount.Value
	return nil
}

// run kills the service so often, each time at a named point or at any moment. It
// ends early when the books are wrong.
func (c *crashLoop) run(rounds int) {
	var sagas sync.WaitGroup
	for range 4 {
		sagas.Go(c.saga)
	}
	for range rounds {
		point := ""
		if rand.IntN(3) > 0 {
			point = fmt.Sprintf("%s:%d", fault.Points[rand.IntN(len(fault.Points))], 1+rand.IntN(8))
		}
		proc := c.serveProgram(c.program, c.keys.URL, c.keyFile, point)
		c.set(proc)
		select {
		case <-proc.ended:
		case <-time.After(time.Duration(50+rand.IntN(300)) * time.Millisecond):
		}
		proc.kill()
		c.set(nil)
		if c.check(); c.broken() {
			break
		}
	}
	c.finish(&sagas)
}

// check looks at the books right after a crash.
func (c *crashLoop) check() {
	var violation *ledger.Violation
	err := VerifyLedger(c.t.Context(), c.db, time.Now())
	// A database that has just come back has closed the connections from before.
	for tries := 0; tries < 20 && err != nil && !errors.As(err, &violation); tries++ {
		err = VerifyLedger(c.t.Context(), c.db, time.Now())
	}
	if err != nil {
		c.problem("%v", err)
	}
}

// finish lets all that was begun come to an end, and compares what the shop was
// answered and told with what the service has.
func (c *crashLoop) finish(sagas *sync.WaitGroup) {
	proc := c.serveProgram(c.program, c.keys.URL, c.keyFile, "")
	c.mu.Lock()
	c.running, c.stopping = proc, true
	c.mu.Unlock()
	sagas.Wait()
	c.drain()
	proc.kill()
	c.check()
	c.compare()
}

// drain waits until nothing is on its way. The leases of dead workers would run out
// by themselves; the test does not wait for them.
func (c *crashLoop) drain() {
	left := `SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM webhook_deliveries WHERE state = 'pending')`
	for deadline := time.Now().Add(30 * time.Second); c.count(left) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.problem("%d jobs and webhooks are left", c.count(left))
			return
		}
		for _, table := range []string{"jobs", "webhook_deliveries"} {
			// What a living worker holds is due again too: it must stand being done twice.
			_, err := c.db.Exec(`UPDATE `+table+` SET due_at = 0 WHERE due_at > $1`, time.Now().Add(time.Second).UnixMicro())
			if err != nil {
				c.t.Error(err)
			}
		}
	}
}

func (c *crashLoop) compare() {
	payments, err := queryPayments(c.t.Context(), c.db, `ORDER BY id`)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(payments) != c.created {
		c.problem("%d payments were answered, and there are %d", c.created, len(payments))
	}
	for _, p := range payments {
		o := c.orders[p.ID]
		if o == nil {
			c.problem("nobody was told of payment %s", p.ID)
			continue
		}
		// What a worker captured was not in the answer.
		byWorker := o.captured == 0 && p.CaptureMethod == automatic && p.Captured == o.amount
		if p.Refunded != o.refunded || p.Captured != o.captured && !byWorker {
			c.problem("payment %s: captured %d and refunded %d, answered were %+v", p.ID, p.Captured, p.Refunded, *o)
		}
		if p.Status == Processing {
			c.problem("payment %s is left in processing", p.ID)
		}
		if p.Status == Succeeded && !c.told[p.ID] {
			c.problem("the shop was not told that payment %s succeeded", p.ID)
		}
	}
}

// The service is killed over and over under load: nothing is lost, and nothing is done twice.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		c := newCrashLoop(p, buildProgram(t))
		c.run(crashRounds(t))
		for _, problem := range c.problems {
			t.Error(problem)
		}
		t.Logf("%d payments, %d told as succeeded", c.created, len(c.told))
		if c.created == 0 {
			t.Error("there was no load")
		}
	})
}

// PostgreSQL itself is killed, and the service goes on when it is back; now and then
// the service is killed as well, and two instances share the work.
func TestCrashLoopOfPostgres(t *testing.T) {
	t.Parallel()
	dsn, crash := testenv.CrashingPostgres(t)
	c := newCrashLoop(newPlatform(t, dsn), buildProgram(t))
	var sagas sync.WaitGroup
	for range 4 {
		sagas.Go(c.saga)
	}
	first, second := c.serveProgram(c.program, c.keys.URL, c.keyFile, ""), c.serveProgram(c.program, c.keys.URL, c.keyFile, "")
	for round := range max(1, crashRounds(t)/2) {
		// The sagas go to one or the other; the workers of both carry out what is left to them.
		c.set([]*process{first, second}[round%2])
		time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond)
		crash()
		if c.check(); c.broken() {
			break
		}
		if round%4 == 3 {
			first.kill()
			first = c.serveProgram(c.program, c.keys.URL, c.keyFile, "")
		}
	}
	c.set(nil)
	first.kill()
	second.kill()
	c.finish(&sagas)
	for _, problem := range c.problems {
		t.Error(problem)
	}
	if t.Logf("%d payments, %d told as succeeded", c.created, len(c.told)); c.created == 0 {
		t.Error("there was no load")
	}
}

// mutation takes a guard out of a source file.
type mutation struct{ file, guard, without string }

// mutants are the service with a guard taken out. The loop must notice each.
var mutants = map[string][]mutation{
	"a repetition does it again": {
		{"../internal/idempotency/idempotency.go", "if err != nil || found {", "if found = found && stored.Status == 0; err != nil || found {"},
		{"../internal/idempotency/idempotency.go", "$6, $7, $8, $9)`", "$6, $7, $8, $9) ON CONFLICT DO NOTHING`"},
	},
	"the client is not always told": {
		{"carryout.go", "told := p.event()", "told := p.event()\n\tif p.Version%2 == 0 {\n\t\treturn nil\n\t}"},
	},
	"a worker takes the job away before it does it": {
		{"queue.go", "UPDATE jobs SET attempts = attempts + 1, due_at = $1\n\t\t\tWHERE", "DELETE FROM jobs WHERE $1 > 0 AND"},
	},
	"folding loses an entry": {
		{"ledger/fold.go", "sum.creditsPosted += c.creditsPosted", "sum.creditsPosted = c.creditsPosted"},
	},
	"what was captured is called canceled": {
		{"carryout.go", "if p.Status = Succeeded; p.Captured == 0 {", "if p.Status = Succeeded; p.Captured < p.Amount.Value {"},
	},
}

func TestCrashLoopNoticesMutants(t *testing.T) {
	t.Parallel()
	for name, changes := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutant := buildMutant(t, changes...)
			p := newPlatform(t, fresh.SQLite(t))
			c := newCrashLoop(p, mutant)
			c.run(40) // it ends as soon as it notices
			if len(c.problems) == 0 {
				t.Error("it was not noticed")
			}
			t.Logf("%.200s", c.problems)
		})
	}
}

// buildMutant builds the command without guards.
func buildMutant(t *testing.T, changes ...mutation) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "payments")
	overlay := map[string]map[string]string{"Replace": {}}
	for _, change := range changes {
		mutate(t, overlay["Replace"], change.file, change.guard, change.without)
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := goBuild(path, "-overlay", list); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// mutate writes a copy of a source file without a guard, and notes it for the build.
func mutate(t *testing.T, overlay map[string]string, file, guard, without string) {
	t.Helper()
	original, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	source := overlay[original]
	if source == "" {
		source = original
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := replaceOnce(t, string(text), guard, without)
	copied := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(copied, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay[original] = copied
}

func replaceOnce(t *testing.T, text, guard, without string) string {
	t.Helper()
	if strings.Count(text, guard) != 1 {
		t.Fatalf("the guard %q is not there once", guard)
	}
	return strings.Replace(text, guard, without, 1)
}
