package command

import (
	"encoding/json"
	"fmt"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// caveat says of a record that is true what it does not tell: an answer that was left to
// others. Empty where it tells all.
func caveat(text []byte) string {
	var r record
	if json.Unmarshal(text, &r) != nil || r.Answer == "" {
		return ""
	}
	who := fmt.Sprintf("others (%q)", r.Answer) // of an edge that knows more than this program
	switch r.Answer {
	case auditlog.AnswerErrorRoutes:
		who = "the site's error routes (handle_errors)"
	case auditlog.AnswerIntercepted:
		who = "a handler around it (as intercept is one)"
	}
	return fmt.Sprintf(`note: the API decided %q, and the answer was left to %s: the request
may have reached a service, and %d is not always what was sent. The access log has that, under the same request_id.
`, r.Outcome, who, r.Status)
}
