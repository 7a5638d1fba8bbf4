package payments

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What the API does to one wallet, as one operation at a time would do it: the
// balances are those of some order of the calls in which each takes effect between
// its beginning and its end.

// walletCall is a call on the wallet; which fields count depends on kind.
type walletCall struct {
	kind  string // pay, hold, capture, cancel, refund or look
	cents int64
}

// walletState is what the model keeps.
type walletState struct{ posted, held int64 }

// walletModel steps from state to state. An output is whether the call did it, and
// for a look what it saw.
type walletOutput struct {
	done bool
	seen walletState
}

func walletModel(start int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return walletState{posted: start} },
		Step: func(state, input, output any) (bool, any) {
			s, in, out := state.(walletState), input.(walletCall), output.(walletOutput)
			free := s.posted - s.held
			switch in.kind {
			case "look":
				return out.seen == s, s
			case "pay":
				if free >= in.cents {
					s.posted -= in.cents
				}
				return out.done == (free >= in.cents), s
			case "hold":
				if free >= in.cents {
					s.held += in.cents
				}
				return out.done == (free >= in.cents), s
			case "capture":
				s.posted, s.held = s.posted-in.cents, s.held-in.cents
			case "cancel":
				s.held -= in.cents
			case "refund":
				s.posted += in.cents
			}
			return out.done, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	}
}

// history is what several callers saw.
type history struct {
	mu    sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

func (h *history) record(client int, in walletCall, do func() walletOutput) walletOutput {
	call := time.Since(h.start).Nanoseconds()
	out := do()
	ended := time.Since(h.start).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ended})
	return out
}

func TestAWalletIsLinearizable(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		const funds = 100_000
		h := &history{start: time.Now()}
		var callers sync.WaitGroup
		for client := range 6 {
			callers.Go(func() {
				for range 6 {
					p.walk(h, client)
				}
			})
		}
		callers.Wait()
		if result := porcupine.CheckOperationsTimeout(walletModel(funds), h.ops, time.Minute); result != porcupine.Ok {
			t.Errorf("%s, of %d operations", result, len(h.ops))
		}
		// And the check can tell: with one balance read a cent off, there is no such order.
		for i, op := range h.ops {
			if out := op.Output.(walletOutput); op.Input.(walletCall).kind == "look" {
				out.seen.posted++
				h.ops[i].Output = out
				break
			}
		}
		if result := porcupine.CheckOperationsTimeout(walletModel(funds), h.ops, time.Minute); result != porcupine.Illegal {
			t.Errorf("with a wrong balance: %s", result)
		}
		p.booksAreRight()
	})
}

// walk pays or holds, sometimes more than there is, looks, and takes it back.
func (p *platform) walk(h *history, client int) {
	amount := 1 + rand.Int64N(30_000)
	look := func() {
		h.record(client, walletCall{kind: "look"}, func() walletOutput {
			var v accountView
			p.call(request{method: "GET", path: "/api/accounts/" + p.wallet.ID, token: p.userToken("ada", "accounts:read")}).decode(&v)
			return walletOutput{seen: walletState{posted: v.Balances.Posted.Value, held: -v.Balances.Pending.Value}}
		})
	}
	post := func(kind string, q request) bool {
		return h.record(client, walletCall{kind, amount}, func() walletOutput {
			a := p.call(q)
			return walletOutput{done: a.Code < 300 && a.payment().Status != Rejected}
		}).done
	}
	body := order(amount)
	held := rand.IntN(2) == 0
	if held {
		body["capture_method"] = "manual"
	}
	v := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).payment()
	if !post(map[bool]string{false: "pay", true: "hold"}[held], p.confirmation(v)) {
		return
	}
	look()
	if held && rand.IntN(2) == 0 {
		post("cancel", p.do(v.ID, "cancel", nil))
		return
	}
	if held {
		post("capture", p.do(v.ID, "captures", object{}))
	}
	look()
	if rand.IntN(2) == 0 {
		post("refund", p.do(v.ID, "refunds", object{}))
	}
}
