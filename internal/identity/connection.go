package identity

import (
	"net/http"
	"strings"
)

// SealConnection takes out of a request what it says about its own connection, which
// ends here. A proxy removes each field that Connection names before it forwards (RFC
// 9110 section 7.6.1), so a caller could take Authorization, X-Request-Id or
// X-Forwarded-For away. Upgrade asks for a tunnel, and what goes through a tunnel
// meets no policy any more: with h2c, whole requests do.
//
// Where websocket is allowed, a request for that, and nothing else, stays one.
func SealConnection(h http.Header, websocket bool) {
	websocket = websocket && asksForWebSocket(h)
	delete(h, "Connection")
	delete(h, "Http2-Settings")
	delete(h, "Upgrade")
	if websocket {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
}

// asksForWebSocket knows the handshake of RFC 6455 section 4.1.
func asksForWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	if len(upgrade) != 1 || !strings.EqualFold(upgrade[0], "websocket") {
		return false
	}
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}
