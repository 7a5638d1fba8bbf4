package conformance

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hidden is the request that an attacker hides in another. Whoever answers it has
// read it as a request: the edge alone may, and says 404.
const hidden = "GET /internal/users/1 HTTP/1.1\r\nHost: localhost\r\nX-User-Id: " + mallory + "\r\nConnection: close\r\n\r\n"

// smugglingAttacks end a message at one place for the edge and, they hope, at another
// for the backend (RFC 9112 section 11.2). Each is carried by a request that nobody
// lets in, and where the edge can read it, by one that goes to a public API too: then
// the backend sees that one request, framed anew, and nothing else.
func (x *target) smugglingAttacks(_ *testing.T, address string) []attack {
	const refused, public = "/api/payments", "/oauth/token"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	unsupported := verdict{status: 501}
	frames := []struct {
		name, fields, body string
		want               verdict // of the edge's server; the zero value: the message can be read
	}{
		{"CL.TE", fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len("0\r\n\r\n"+hidden)), "0\r\n\r\n" + hidden, verdict{}},
		{"TE.CL", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", chunk, verdict{}},
		{"two Content-Length", fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", len(hidden)), hidden, unreadable},
		{"a list of Content-Length", fmt.Sprintf("Content-Length: 0, %d\r\n", len(hidden)), hidden, unreadable},
		{"Content-Length with a sign", "Content-Length: +0\r\n", hidden, unreadable},
		{"Content-Length in hex", "Content-Length: 0x0\r\n", hidden, unreadable},
		{"negative Content-Length", "Content-Length: -1\r\n", hidden, unreadable},
		{"space before the colon of Content-Length", "Content-Length : 0\r\n", hidden, unreadable},
		{"TE: xchunked", "Transfer-Encoding: xchunked\r\n", chunk, unsupported},
		{"TE: chunked twice in one field", "Transfer-Encoding: chunked, chunked\r\n", chunk, unsupported},
		{"TE: chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunk, unsupported},
		{"TE: chunked, then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunk, unsupported},
		{"TE: gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", chunk, unsupported},
		{"TE: quoted", "Transfer-Encoding: \"chunked\"\r\n", chunk, unsupported},
		{"TE: vertical tab", "Transfer-Encoding: \x0bchunked\r\n", chunk, unreadable},
		{"space before the colon of TE", "Transfer-Encoding : chunked\r\n", chunk, unreadable},
		{"NUL in a value", "X-A: a\x00b\r\n", "", unreadable},
		{"bare CR in a value", "X-A: a\rX-User-Id: mallory\r\n", "", unreadable},
		{"field without a colon", "X-A\r\n", "", unreadable},
		{"field with an empty name", ": a\r\n", "", unreadable},
		{"obs-fold in the first field", " X-User-Id: mallory\r\n", "", unreadable},
		{"two Host", "Host: evil.test\r\n", "", unreadable},
		{"obs-fold that hides a field", "X-A: a\r\n\tX-B: b\r\nConnection: close\r\n", "", verdict{}},
		{"obs-fold in TE", "Transfer-Encoding:\r\n chunked\r\nConnection: close\r\n", chunk, verdict{}},
		{"bare LF before a field", "X-A: a\nX-User-Id: " + mallory + "\r\nConnection: close\r\n", "", verdict{}},
		{"bare LF before TE", "X-A: a\nTransfer-Encoding: chunked\nContent-Length: 4\r\nConnection: close\r\n", chunk, verdict{}},
	}
	var attacks []attack
	for _, f := range frames {
		for _, path := range []string{refused, public} {
			start := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n"
			if f.name == "obs-fold in the first field" {
				start = "POST " + path + " HTTP/1.1\r\n"
			}
			a := attack{name: f.name + ", at " + path, want: f.want}
			if f.want == (verdict{}) && path == refused {
				a.want = nobody
			} else if f.want == (verdict{}) {
				a.want, a.allowed = passes, 1
			}
			a.do = func(t *testing.T) answer { return x.carry(t, address, start+f.fields+"\r\n"+f.body) }
			attacks = append(attacks, a)
		}
	}
	return append(attacks, x.brokenChunks(address)...)
}

// carry sends the bytes and gives the first answer.
func (x *target) carry(t *testing.T, address, request string) answer {
	t.Helper()
	return first(t, x.raw(t, address, request))
}

// first gives the first answer, or none. All others are to what was hidden.
func first(t *testing.T, answers []answer) answer {
	t.Helper()
	if len(answers) == 0 {
		return answer{}
	}
	for _, a := range answers[1:] {
		notFound.judge(t, a)
	}
	return answers[0]
}

// brokenChunks begin a body that is let in, and break its framing once the backend has
// the beginning (RFC 9112 section 7.1). It must see no more than that one request.
func (x *target) brokenChunks(address string) []attack {
	var attacks []attack
	for name, chunk := range map[string]string{
		"bare LF after a chunk's size":       "5\nhello\r\n0\r\n\r\n",
		"bare LF in a chunk's extension":     "5;a=b\nhello\r\n0\r\n\r\n",
		"bare LF after a chunk":              "5\r\nhello\n0\r\n\r\n",
		"size with a sign":                   "+5\r\nhello\r\n0\r\n\r\n",
		"size with 0x":                       "0x5\r\nhello\r\n0\r\n\r\n",
		"size of 17 digits":                  "10000000000000005\r\nhello\r\n0\r\n\r\n",
		"chunk that is longer than its size": "3\r\nhello\r\n0\r\n\r\n",
	} {
		attacks = append(attacks, attack{name: name, want: badRequest, allowed: 1, do: func(t *testing.T) answer {
			before := x.service.arrivals.Load()
			conn := x.wire(t, address, "http/1.1")
			write(t, conn, "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfirst\r\n")
			waitFor(t, "the beginning at the backend", func() bool { return x.service.arrivals.Load() > before })
			write(t, conn, chunk+hidden)
			return first(t, readAll(t, conn))
		}})
	}
	slices.SortFunc(attacks, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	return attacks
}

// field is a header field of HTTP/2, as nobody checks it.
type field struct{ name, value string }

// http2Attacks write frames, because no client library would.
func (x *target) http2Attacks(_ *testing.T, address string) []attack {
	token := x.everything()
	refusedByStream := verdict{}
	tests := []struct {
		name   string
		fields []field
		want   verdict
	}{
		{"transfer-encoding", []field{{"transfer-encoding", "chunked"}}, unreadable},
		{"connection", []field{{"connection", "x-user-id"}}, unreadable},
		{"proxy-connection", []field{{"proxy-connection", "keep-alive"}}, unreadable},
		{"keep-alive", []field{{"keep-alive", "timeout=5"}}, unreadable},
		{"upgrade", []field{{"upgrade", "h2c"}}, unreadable},
		{"te other than trailers", []field{{"te", "gzip"}}, unreadable},
		{"CRLF in a value", []field{{"x-a", "a\r\nX-User-Id: " + mallory}}, refusedByStream},
		{"CRLF and a request in a value", []field{{"x-a", "a\r\n\r\n" + hidden}}, refusedByStream},
		{"LF in a value", []field{{"x-a", "a\nX-User-Id: " + mallory}}, refusedByStream},
		{"NUL in a value", []field{{"x-a", "a\x00b"}}, refusedByStream},
		{"CRLF in a name", []field{{"x-a: b\r\nx-user-id", mallory}}, refusedByStream},
		{"colon in a name", []field{{"x-a:x-user-id", mallory}}, refusedByStream},
		{"space in a name", []field{{"x-a x", mallory}}, refusedByStream},
		{"upper-case name", []field{{"X-User-Id", mallory}}, refusedByStream},
		{"CRLF in :path", []field{{":path", "/oauth/jwks HTTP/1.1\r\nHost: localhost\r\n\r\n"}}, refusedByStream},
		{"space in :path", []field{{":path", "/api/payments HTTP/1.1"}}, notCanonical},
		{"CRLF in :method", []field{{":method", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"}}, refusedByStream},
		{"space in :method", []field{{":method", "GET /internal HTTP/1.1"}}, noMethod},
		{"two :path", []field{{":path", "/oauth/jwks"}, {":path", "/api/payments"}}, refusedByStream},
		{":path after a field", []field{{"x-a", "a"}, {":scheme", "https"}}, refusedByStream},
		{"unknown pseudo-header", []field{{":user", mallory}}, refusedByStream},
		{"content-length that is not the body's", []field{{"content-length", "5"}}, badRequest},
		{":authority with a user", []field{{":authority", "localhost@evil.test"}}, refusedByStream},
		{":authority of somebody else", []field{{":authority", "evil.test"}}, notFound},
		{"host beside :authority", []field{{"host", "evil.test"}}, refusedByStream},
	}
	var attacks []attack
	for _, test := range tests {
		attacks = append(attacks, attack{name: test.name, want: test.want, do: func(t *testing.T) answer {
			return x.stream(t, address, token, test.fields...)
		}})
	}
	return attacks
}

// largeHTTP2 sends the large headers in as many frames as they take.
func (x *target) largeHTTP2(address string) []attack {
	var attacks []attack
	for _, kib := range []int{64, 256, 1024} {
		attacks = append(attacks, attack{name: fmt.Sprintf("%d KiB in HTTP/2", kib), want: tooLarge, do: func(t *testing.T) answer {
			var many []field
			for range kib {
				many = append(many, field{"x-large", strings.Repeat("a", 1<<10)})
			}
			return x.stream(t, address, x.everything(), many...)
		}})
	}
	return attacks
}

// stream asks for the payments by HTTP/2, with these fields instead of or beside the
// usual ones, and gives the answer; none when the edge ends stream or connection.
func (x *target) stream(t *testing.T, address, token string, fields ...field) answer {
	t.Helper()
	conn := x.wire(t, address, "h2")
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = writeHeaders(framer, token, fields) }() // the edge may have enough before the end
	return readStream(t, framer)
}

// writeHeaders writes one request without a body. A pseudo-header of the attacker's
// stands where he puts it, instead of the usual one.
func writeHeaders(framer *http2.Framer, token string, fields []field) error {
	all := []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/api/payments"}}
	all = slices.DeleteFunc(all, func(usual field) bool {
		return slices.ContainsFunc(fields, func(f field) bool { return f.name == usual.name })
	})
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range slices.Concat(all, fields, []field{{"authorization", "Bearer " + token}}) {
		_ = encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}) // into memory
	}
	const frame = 16 << 10
	head, rest := cutAt(block.Bytes(), frame)
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndStream: true, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		head, rest = cutAt(rest, frame)
		err = framer.WriteContinuation(1, len(rest) == 0, head)
	}
	return err
}

func cutAt(b []byte, n int) (head, rest []byte) {
	n = min(n, len(b))
	return b[:n], b[n:]
}

// readStream reads until the answer or the end.
func readStream(t *testing.T, framer *http2.Framer) answer {
	t.Helper()
	var got answer
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if failure, ok := err.(net.Error); ok && failure.Timeout() {
				t.Error("the edge neither answers nor ends the connection")
			}
			return answer{}
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			got.header = make(map[string][]string)
			for _, h := range f.Fields {
				if h.Name == ":status" {
					_, _ = fmt.Sscan(h.Value, &got.status)
					continue
				}
				got.header.Add(h.Name, h.Value)
			}
			if f.StreamEnded() {
				return got
			}
		case *http2.DataFrame:
			got.body = append(got.body, f.Data()...)
			if f.StreamEnded() {
				return got
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return answer{}
		}
	}
}
