package ratelimit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// Cost says how many units of its zone a request takes: one, where there is no Cost.
type Cost struct {
	// Value is a whole number, or text with placeholders that gives one. A request that
	// costs 0 is not counted.
	Value string `json:"value,omitempty"`
	// Default is the cost of a request whose Value is no whole number. Without it such a
	// request is refused.
	Default *int64 `json:"default,omitempty"`
	// Response names a field of the answer that tells the cost. Until it is there, the
	// request takes Value, or one.
	Response string `json:"response_field,omitempty"`

	fixed    int64    // where Value has no placeholder
	template template // where it has
	field    string   // Response, canonical
}

var errUnits = errors.New("want a whole number from 0 to 1000000000")

// check takes the cost apart.
func (c *Cost) check() error {
	c.fixed, c.template, c.field = 1, nil, http.CanonicalHeaderKey(c.Response)
	if c.Response != "" && !httpguts.ValidHeaderFieldName(c.Response) {
		return fmt.Errorf("cost response %q: is no name of a field", c.Response)
	}
	if c.Value == "" {
		if c.Response == "" {
			return errors.New("cost: value is missing")
		}
		return nil
	}
	var err error
	if c.template, err = parseTemplate(c.Value); err != nil {
		return fmt.Errorf("cost %q: %w", c.Value, err)
	}
	if c.template.placeholders() > 0 {
		if c.Response != "" {
			return fmt.Errorf("cost %q: what is reserved for a response is a number", c.Value)
		}
		return c.checkDefault()
	}
	c.template = nil
	if c.fixed, err = parseUnits(c.Value); err != nil || c.fixed == 0 {
		return fmt.Errorf("cost %q: want a whole number from 1 to %d, or a placeholder", c.Value, limit.MaxEvents)
	}
	if c.Default != nil {
		return fmt.Errorf("cost %q: a default is for placeholders", c.Value)
	}
	return nil
}

func (c *Cost) checkDefault() error {
	if c.Default != nil && (*c.Default < 0 || *c.Default > limit.MaxEvents) {
		return fmt.Errorf("cost: default %d: %w", *c.Default, errUnits)
	}
	return nil
}

// parseUnits reads a number as digits, and nothing but digits.
func parseUnits(text string) (int64, error) {
	if text == "" || len(text) > len("1000000000") {
		return 0, errUnits
	}
	for _, digit := range []byte(text) {
		if digit < '0' || digit > '9' {
			return 0, errUnits
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > limit.MaxEvents {
		return 0, errUnits
	}
	return n, nil
}

// of gives what a request takes before it is answered, and false where nobody can tell.
func (c *Cost) of(repl *caddy.Replacer) (units int64, ok bool) {
	if c == nil {
		return 1, true
	}
	if c.template == nil {
		return c.fixed, true
	}
	text, _ := c.template.text(repl)
	if n, err := parseUnits(text); err == nil {
		return n, true
	}
	if c.Default != nil {
		return *c.Default, true
	}
	return 0, false
}

// told gives what the answer says the request has cost, or -1.
func (c *Cost) told(answer http.Header) int64 {
	if c == nil || c.field == "" {
		return -1
	}
	values := answer[c.field]
	if len(values) != 1 {
		return -1
	}
	n, err := parseUnits(values[0])
	if err != nil {
		return -1
	}
	return n
}

// meter reads what the answer says it has cost, before anybody further out changes it.
type meter struct {
	caddyhttp.ResponseWriterWrapper
	call *call
	read bool
}

func (m *meter) observe() {
	if !m.read {
		m.read = true
		m.call.readCosts(m.Header())
	}
}

// WriteHeader implements http.ResponseWriter.
func (m *meter) WriteHeader(status int) {
	if status >= http.StatusOK {
		m.observe()
	}
	m.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (m *meter) Write(body []byte) (int, error) {
	m.observe()
	return m.ResponseWriterWrapper.Write(body)
}

// ReadFrom implements io.ReaderFrom.
func (m *meter) ReadFrom(body io.Reader) (int64, error) {
	m.observe()
	return m.ResponseWriterWrapper.ReadFrom(body)
}
