package service

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// requestID is the field by which a request is found again in every log.
const requestID = "X-Request-Id"

// maxBody bounds every request body, in bytes. Nothing that the backends take is near it.
const maxBody = 1 << 20

// observe bounds the body, names the request, logs its end and turns a panic
// into a 500 that says nothing of the inside.
func observe(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get(requestID)
		// The edge sets the id. Who comes past the edge gets one here, so that
		// no text of a caller's choosing reaches the log.
		if _, err := uuid.Parse(id); err != nil {
			id = uuid.NewString()
			r.Header.Set(requestID, id)
		}
		w.Header().Set(requestID, id)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				logger.Error("panic", "request_id", id, "panic", v, "stack", string(debug.Stack()))
				if rec.status == 0 {
					problem.New(http.StatusInternalServerError, "internal_error", "Something went wrong here. Nothing of this request was kept.").Write(rec)
				}
			}
			logger.Info("request", "method", r.Method, "route", r.Pattern, "status", rec.status,
				"duration", time.Since(start), "request_id", id)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
