package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestWhoseFaultABodyIs reads bodies that fail, and hands the error on as reverse_proxy does.
func TestWhoseFaultABodyIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause  error
		status int
	}{
		"broken off":               {io.ErrUnexpectedEOF, http.StatusBadRequest},
		"too large for the site":   {caddyhttp.Error(http.StatusRequestEntityTooLarge, errors.New("too large")), http.StatusRequestEntityTooLarge},
		"the caller is gone":       {context.Canceled, http.StatusBadGateway},
		"closed after a first try": {http.ErrBodyReadAfterClose, http.StatusBadGateway},
	} {
		_, err := callersBody{io.NopCloser(iotest.ErrReader(test.cause))}.Read(make([]byte, 1))
		if got := problemOf(caddyhttp.Error(http.StatusBadGateway, err)); got.Status != test.status {
			t.Errorf("%s: %d", name, got.Status)
		}
		if !errors.Is(err, test.cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
