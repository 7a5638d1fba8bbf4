package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	timeout     = 10 * time.Second // for one try, all of it
	maxResponse = 64 << 10         // bytes of an answer that are read, to reuse the connection
	maxRest     = time.Hour        // of a Retry-After
)

// Message is what is sent, and where.
type Message struct {
	URL     string
	ID      string // the same at every try
	Secrets [][]byte
	Body    []byte
}

// Outcome is what became of one try.
type Outcome struct {
	Status     int           // zero when there was no answer
	RetryAfter time.Duration // what the endpoint asked for; zero when it did not
	Err        error         // why there was no answer; never text of the endpoint
}

// Delivered says that the endpoint took the message.
func (o Outcome) Delivered() bool { return o.Status >= 200 && o.Status < 300 }

// Gone says that the endpoint wants no more messages, ever.
func (o Outcome) Gone() bool { return o.Status == http.StatusGone }

// Busy says that the endpoint wants messages more slowly.
func (o Outcome) Busy() bool {
	return o.Status == http.StatusTooManyRequests || o.Status == http.StatusServiceUnavailable
}

// Sender sends messages. It is safe for concurrent use.
type Sender struct {
	client *http.Client
	now    func() time.Time
}

// NewSender makes a sender. allowPrivate lets it into private networks, for
// development and for receivers inside the operator's own.
func NewSender(allowPrivate bool, now func() time.Time) *Sender {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if !allowPrivate {
		dialer.Control = refusePrivate
	}
	return &Sender{now: now, client: &http.Client{
		Timeout: timeout,
		// No proxy: it would resolve the name itself, past the check of the address.
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send makes one try.
func (s *Sender) Send(ctx context.Context, m Message) Outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return Outcome{Err: errors.New("the endpoint's URL cannot be used")}
	}
	at := s.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tollgate-webhooks/1")
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", Sign(m.Secrets, m.ID, at, m.Body))
	resp, err := s.client.Do(req)
	if err != nil {
		return Outcome{Err: reason(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse) // only the status counts
	return Outcome{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), at)}
}

// reason says why there was no answer in words of a fixed vocabulary: what a
// resolver or a peer says can hold the operator's own names and addresses.
func reason(err error) error {
	var network net.Error
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errPrivate):
		return errPrivate
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &name):
		return errors.New("the endpoint's name does not resolve")
	case errors.As(err, &certificate):
		return errors.New("the endpoint's certificate is not valid")
	case errors.As(err, &network) && network.Timeout():
		return errors.New("the endpoint did not answer in time")
	}
	return errors.New("the endpoint cannot be connected to, or ended the connection")
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3), within bounds.
func retryAfter(value string, now time.Time) time.Duration {
	var rest time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		rest = time.Duration(min(seconds, int(maxRest/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		rest = date.Sub(now)
	}
	return min(max(rest, 0), maxRest)
}
