package access

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// parameter is the name under which RFC 6750 sections 2.2 and 2.3 allow a token in
// a form or a query. FAPI 2.0 forbids both: URLs and bodies end up in logs.
const parameter = "access_token"

// maxForm is how much of a form is looked at: twice what a token can take.
const maxForm = 16 << 10

// inQuery says whether the query or form has an access_token parameter, in any
// spelling that a server behind us could decode to it.
func inQuery(query string) bool {
	for query != "" {
		var pair string
		if end := strings.IndexAny(query, "&;"); end >= 0 {
			pair, query = query[:end], query[end+1:]
		} else {
			pair, query = query, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if isParameter(name) {
			return true
		}
	}
	return false
}

func isParameter(name string) bool {
	if !strings.ContainsAny(name, "%+") {
		return name == parameter
	}
	decoded, err := url.QueryUnescape(name)
	return err == nil && decoded == parameter
}

// inForm says whether the body is a form with an access_token near its beginning.
// What has been read is put back.
func inForm(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return false
	}
	body := bufio.NewReaderSize(r.Body, maxForm)
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	start, _ := body.Peek(maxForm) // whoever reads the body meets the error
	return inQuery(string(start))
}
