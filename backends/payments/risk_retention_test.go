package payments

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/payments/risk"
)

// Decisions go when their time is over, in batches, and no earlier. What officers did stays.
func TestDecisionsAreKeptForATime(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.advance(-risk.DefaultRetention)
		p.setRule("payment_amount", object{"EUR": object{"deny": 5000}})
		old := p.create(100)
		p.call(p.confirmation(old)).expect(200, "")
		const more = 2100
		err := p.db.InTx(t.Context(), func(tx *sql.Tx) error {
			for range more {
				if _, err := tx.Exec(`INSERT INTO risk_decisions (id, payment_id, outcome, findings, inputs, created_at) VALUES ($1, $2, 'allow', '[]', '{}', $3)`,
					uuid.NewString(), old.ID, p.now().UnixMicro()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.advance(time.Hour)
		late := p.create(100)
		p.call(p.confirmation(late)).expect(200, "")
		p.advance(risk.DefaultRetention - 2*time.Hour)
		if err := p.server.purge(t.Context()); err != nil || p.count(`SELECT count(*) FROM risk_decisions`) != more+2 {
			t.Errorf("too early: %d left, %v", p.count(`SELECT count(*) FROM risk_decisions`), err)
		}
		p.advance(time.Hour)
		if err := p.server.purge(t.Context()); err != nil || len(p.decisions(old.ID)) != 0 || len(p.decisions(late.ID)) != 1 {
			t.Errorf("in time: %d and %d left, %v", len(p.decisions(old.ID)), len(p.decisions(late.ID)), err)
		}
		if p.count(`SELECT count(*) FROM risk_changes`) != 1 || p.read(old.ID).Status != Succeeded {
			t.Error("more than decisions went")
		}
		p.booksAreRight()
	})
}

// Whatever a service is told, and however its clock goes: the schema keeps what is younger
// than 90 days by the database's clock, and nothing older stays because of it.
func TestNoDecisionGoesWithin90Days(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		for _, age := range []time.Duration{risk.MinRetention + time.Hour, risk.MinRetention - 10*time.Minute, 0} {
			if _, err := p.db.Exec(`INSERT INTO risk_decisions (id, payment_id, outcome, findings, inputs, created_at) VALUES ($1, $2, 'allow', '[]', '{}', $3)`,
				uuid.NewString(), v.ID, time.Now().Add(-age).UnixMicro()); err != nil {
				t.Fatal(err)
			}
		}
		// A clock that is an hour ahead, and a flag of exactly 90 days.
		if err := risk.Purge(t.Context(), p.db, time.Now().Add(time.Hour-risk.MinRetention)); err != nil {
			t.Error(err)
		}
		if n := p.count(`SELECT count(*) FROM risk_decisions`); n != 2 {
			t.Errorf("%d of 3 are left, of which 2 are younger than 90 days", n)
		}
		if _, err := p.db.Exec(`DELETE FROM risk_decisions`); err == nil || !strings.Contains(err.Error(), "append-only for 90 days") {
			t.Errorf("a decision of today was deleted: %v", err)
		}
	})
}
