package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/oauth2"
)

const (
	maxTries     = 3
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second // a customer is waiting: rather say so than wait longer
	maxAnswer    = 1 << 20
	// tollgateDeadline bounds all that the shop asks of Tollgate for one page.
	tollgateDeadline = 20 * time.Second
)

// call is a request that may be sent again. Each one that the shop makes is safe
// to repeat: it reads, or it carries an Idempotency-Key.
type call struct {
	method, url string
	header      http.Header
	body        []byte
}

// APIError is a refusal as Tollgate words it: problem details (RFC 9457), or the
// error answer of an OAuth endpoint (RFC 6749 section 5.2).
type APIError struct {
	Status     int
	Code       string        // for programs: "insufficient_scope"
	Detail     string        // for the log
	RequestID  string        // what Tollgate's support asks for
	RetryAfter time.Duration // zero: not said
}

func (e *APIError) Error() string {
	return fmt.Sprintf("tollgate answered %d %s (request %s): %s", e.Status, e.Code, e.RequestID, e.Detail)
}

// worthRepeating says whether the same request may succeed a moment later. 409
// with Retry-After is a first copy of the request that is still running. After a
// 500 nobody knows whether the request took effect; its Idempotency-Key makes the
// repetition safe, and tells.
func (e *APIError) worthRepeating() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		return e.RetryAfter > 0
	}
	return false
}

// send makes the call and gives the body of a 2xx answer. It repeats what is
// worth repeating, and waits as long as it is told to if that is bearable.
func (t *Tollgate) send(ctx context.Context, c call) ([]byte, error) {
	pause := firstPause
	for try := 1; ; try++ {
		body, err := t.sendOnce(ctx, c)
		if err == nil || try == maxTries || ctx.Err() != nil {
			return body, err
		}
		wait := pause
		if refused, ok := errors.AsType[*APIError](err); ok {
			if !refused.worthRepeating() || refused.RetryAfter > longestPause {
				return nil, err
			}
			wait = max(wait, refused.RetryAfter)
		}
		if t.pause(ctx, wait) != nil {
			return nil, err
		}
		pause *= 2
	}
}

func (t *Tollgate) sendOnce(ctx context.Context, c call) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "corner-shop-example/1.0")
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, newAPIError(resp, body)
	}
	return body, nil
}

func newAPIError(resp *http.Response, body []byte) *APIError {
	e := &APIError{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id")}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	var said struct {
		Code        string `json:"code"`
		Detail      string `json:"detail"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media != "application/problem+json" && media != "application/json" {
		return e
	}
	if json.Unmarshal(body, &said) == nil {
		e.Code, e.Detail = said.Code, said.Detail
		if e.Code == "" {
			e.Code, e.Detail = said.Error, said.Description
		}
	}
	return e
}

// isUnauthorized says whether Tollgate refused the token.
func isUnauthorized(err error) bool {
	refused, ok := errors.AsType[*APIError](err)
	return ok && refused.Status == http.StatusUnauthorized
}

// friendly gives the words for a customer. What really happened is in the log.
func friendly(err error) string {
	refused, ok := errors.AsType[*APIError](err)
	if atToken, isToken := errors.AsType[*oauth2.RetrieveError](err); isToken && !ok {
		refused, ok = newAPIError(atToken.Response, atToken.Body), true
	}
	switch {
	case !ok:
		return "We could not reach Tollgate just now. You have not been charged twice and never will be: please try again."
	case refused.Status == http.StatusTooManyRequests && refused.RetryAfter > 0:
		return fmt.Sprintf("Many people are paying at the moment. Please try again in %d seconds.", refused.RetryAfter/time.Second)
	case refused.Status == http.StatusInternalServerError:
		return "We do not know yet whether this payment went through. You will not be charged twice: please try again in a minute."
	case refused.worthRepeating():
		return "Tollgate is busy at the moment. Please try again in a minute."
	default:
		return "Tollgate did not accept this payment. Nothing has been charged. Please try again, or write to us."
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
