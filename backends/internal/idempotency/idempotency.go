// Package idempotency makes a retried request safe: what it did and what it was
// answered commit in one transaction, and the same key is answered with the same
// bytes for a day. A request that was refused changed nothing, so its key is
// free to be used again.
//
// The table idempotency_keys belongs to the migrations of the component.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/fault"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// Retention is how long a key is remembered.
const Retention = 24 * time.Hour

// ReplayedHeader marks an answer that was given before.
const ReplayedHeader = "Idempotency-Replayed"

// Request says which request this is. Two with the same client, method, route
// and key are meant to be one; the fingerprint says whether they are.
type Request struct {
	Client      string
	Method      string
	Route       string // the pattern, such as /api/payments/{id}/confirm
	Key         string
	Fingerprint []byte // Fingerprint of who asks, the path and the body
}

// Fingerprint hashes the parts of a request that must be equal in a retry.
func Fingerprint(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		// The length first: ("ab","c") is not ("a","bc").
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash never fails
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Response is an answer as it is stored and sent.
type Response struct {
	Status   int
	Header   http.Header
	Body     []byte
	Replayed bool // it is the answer to an earlier request
}

// Write answers with the response.
func (resp Response) Write(w http.ResponseWriter) {
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	if resp.Replayed {
		w.Header().Set(ReplayedHeader, "true")
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body) // the caller is gone: the retry gets it
}

// Keeper remembers keys in the component's database.
type Keeper struct {
	db      *database.DB
	now     func() time.Time
	mu      sync.Mutex
	running map[[sha256.Size]byte]bool // by Request.id
	lanes   *lanes
}

// New makes a keeper. now is nil for the clock of the machine.
func New(db *database.DB, now func() time.Time) *Keeper {
	if now == nil {
		now = time.Now
	}
	return &Keeper{db: db, now: now, running: make(map[[sha256.Size]byte]bool), lanes: newLanes()}
}

// Do runs fn once for the request, in a transaction that also stores the answer,
// or gives the stored answer. An error of fn rolls back and stores nothing.
// Refusals are *problem.Problem: 409 while the first request is running, 422
// when the key was used for something else.
func (k *Keeper) Do(ctx context.Context, req Request, fn func(tx *sql.Tx) (Response, error)) (Response, error) {
	id := req.id()
	if !k.begin(id) {
		return Response{}, errRunning
	}
	defer k.end(id)
	if k.db.Dialect == database.Postgres { // on SQLite all wait for the one writer, and hold nothing
		done, err := k.lanes.take(ctx, req.Client)
		if err != nil {
			return Response{}, err
		}
		defer done()
	}
	var resp Response
	err := k.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		if err := k.lock(ctx, tx, id); err != nil {
			return err
		}
		stored, found, err := k.find(ctx, tx, req)
		if err != nil || found {
			resp = stored
			return err
		}
		if cardnumber.In(req.Key) { // a new one: what is known is answered, or a retry would need another key
			return errCardNumber
		}
		if resp, err = fn(tx); err != nil {
			return err
		}
		if err := k.store(ctx, tx, req, resp); err != nil {
			return err
		}
		fault.At(fault.BeforeCommit)
		return nil
	})
	if err != nil {
		return Response{}, err
	}
	fault.At(fault.AfterCommit)
	return resp, nil
}

// id is the primary key of the request, hashed.
func (req Request) id() [sha256.Size]byte {
	return [sha256.Size]byte(Fingerprint(req.Client, req.Method, req.Route, req.Key))
}

var errRunning = problem.New(http.StatusConflict, "idempotency_key_in_use",
	"The first request with this Idempotency-Key is still running.").WithRetryAfter(time.Second)

// errCardNumber: a key is kept for a day, like what the body says.
var errCardNumber = problem.New(http.StatusBadRequest, "idempotency_key_malformed",
	"Idempotency-Key must not hold a card number, or digits that read as one: use a UUID.")

var errOtherRequest = problem.New(http.StatusUnprocessableEntity, "idempotency_key_reused",
	"This Idempotency-Key was used for another request.")

// begin and end keep equal requests of this process apart, without a connection
// being held by each of them.
func (k *Keeper) begin(id [sha256.Size]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running[id] {
		return false
	}
	k.running[id] = true
	return true
}

func (k *Keeper) end(id [sha256.Size]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, id)
}

// lock does between processes what begin does within one. SQLite needs nothing:
// its transactions run one after another.
func (k *Keeper) lock(ctx context.Context, tx *sql.Tx, id [sha256.Size]byte) error {
	if k.db.Dialect != database.Postgres {
		return nil
	}
	var free bool
	number := int64(binary.BigEndian.Uint64(id[:8])) // #nosec G115 -- any 64 bits name the lock
	if err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock($1)`, number).Scan(&free); err != nil {
		return fmt.Errorf("idempotency: %w", err)
	}
	if !free {
		return errRunning
	}
	return nil
}

// find gives the stored answer to the request.
func (k *Keeper) find(ctx context.Context, tx *sql.Tx, req Request) (resp Response, found bool, err error) {
	var fingerprint, header []byte
	var created int64
	err = tx.QueryRowContext(ctx,
		`SELECT fingerprint, status, header, body, created_at FROM idempotency_keys
		WHERE client_id = $1 AND method = $2 AND route = $3 AND idem_key = $4`,
		req.Client, req.Method, req.Route, req.Key).
		Scan(&fingerprint, &resp.Status, &header, &resp.Body, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return Response{}, false, nil
	}
	if err != nil {
		return Response{}, false, fmt.Errorf("idempotency: %w", err)
	}
	if created <= k.cutoff() {
		return Response{}, false, k.forget(ctx, tx, req)
	}
	if !bytes.Equal(fingerprint, req.Fingerprint) {
		return Response{}, false, errOtherRequest
	}
	if err := json.Unmarshal(header, &resp.Header); err != nil {
		return Response{}, false, fmt.Errorf("idempotency: stored header: %w", err)
	}
	resp.Replayed = true
	return resp, true, nil
}

func (k *Keeper) store(ctx context.Context, tx *sql.Tx, req Request, resp Response) error {
	header, err := json.Marshal(resp.Header)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO idempotency_keys (client_id, method, route, idem_key, fingerprint, status, header, body, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		req.Client, req.Method, req.Route, req.Key, req.Fingerprint, resp.Status, string(header), append([]byte{}, resp.Body...), k.now().UnixMicro())
	if err != nil {
		return fmt.Errorf("idempotency: %w", err)
	}
	return nil
}

// forget removes a key that is past its time and not yet purged.
func (k *Keeper) forget(ctx context.Context, tx *sql.Tx, req Request) error {
	_, err := tx.ExecContext(ctx,
		`DELETE FROM idempotency_keys WHERE client_id = $1 AND method = $2 AND route = $3 AND idem_key = $4`,
		req.Client, req.Method, req.Route, req.Key)
	if err != nil {
		return fmt.Errorf("idempotency: %w", err)
	}
	return nil
}

func (k *Keeper) cutoff() int64 { return k.now().Add(-Retention).UnixMicro() }
