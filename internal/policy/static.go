package policy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Static answers by itself. Caddy's redir is one, too.
type Static struct {
	At      string
	Status  json.RawMessage     `json:"status_code"`
	Headers map[string][]string `json:"headers"`
	Body    string              `json:"body"`
	Abort   bool                `json:"abort"`

	leaves map[string]string
}

func (p *parser) static(at string, raw json.RawMessage) *Static {
	h := &Static{At: at, leaves: leavesOf(raw)}
	p.fail(at+" static_response", json.Unmarshal(raw, h))
	return h
}

func (h *Static) String() string {
	if location := h.Headers["Location"]; len(location) > 0 {
		return "redir " + location[0]
	}
	return "respond " + strings.Trim(string(h.Status), `"`)
}

func (h *Static) deliver(w *walk) {
	settings := map[string]string{"body": w.fill(h.Body), "status": w.fill(statusText(h.Status))}
	for name, values := range h.Headers {
		settings["field "+canonicalField(name)] = w.fill(strings.Join(values, ", "))
	}
	if seen := w.templateSees(plain(settings["body"])); seen != "" {
		settings[templateSees] = seen
	}
	w.deliver(h, settings)
}

// hint notes an answer that comes before the answer: its fields are those of both.
func (h *Static) hint(w *walk) {
	w.answers = append(slices.Clip(w.answers), answerOp{text: "early hints (103) " + w.fillIn(compact(h.Headers)), hint: true})
}

// tells says whether an answer has in it what only the edge knows, or what routes have said before.
func (h *Static) tells() (found bool) {
	for _, text := range h.leaves {
		found = found || len(private(text)) > 0 || strings.Contains(text, "{http.vars.")
	}
	return found
}

func (h *Static) serve(w *walk, next next) end {
	status, kind := w.statusOf(h.Status)
	switch {
	case h.Abort:
		w.refuse(0, "", Step{h.At, "abort"})
		return answered
	case kind == anyStatus && w.unknown("whether status "+string(h.Status)+" is a number"):
		if w.unknown("whether status " + string(h.Status) + " is 103") {
			h.hint(w)
			return next()
		}
		defer func() { w.anyStatus = true }()
		status = http.StatusOK
	case kind != oneStatus:
		return w.badStatus(h.Status, Step{h.At, h.String()})
	case status == http.StatusEarlyHints: // is not the answer yet
		h.hint(w)
		return next()
	case status == 0 && w.errorStatus == openStatus:
		defer func() { w.anyStatus = true }()
		status = http.StatusInternalServerError
	case status == 0 && w.errorStatus > 0:
		status = w.errorStatus
	case status == 0:
		status = http.StatusOK
	}
	w.answer(Responded, status, Step{h.At, h.String()})
	if location := h.Headers["Location"]; len(location) > 0 {
		w.out.Location = location[0]
	}
	h.deliver(w)
	return answered
}

// mayGoOn says whether the status may be one that is not the answer yet.
func (h *Static) mayGoOn() bool {
	text := statusText(h.Status)
	return !h.Abort && (hasPlaceholder(text) || text == strconv.Itoa(http.StatusEarlyHints))
}

func (h *StaticError) serve(w *walk, _ next) end {
	status, kind := w.statusOf(h.Status)
	switch {
	case kind == anyStatus:
		status = openStatus
		w.open("status " + string(h.Status))
	case kind == noStatusAtAll:
		return w.badStatus(h.Status, Step{h.At, h.String()})
	case status == 0:
		status = http.StatusInternalServerError
	}
	e := w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
	message := w.fill(h.Message)
	if kind == anyStatus { // which may be no number
		message += " " + w.fill(statusText(h.Status))
	}
	e.message = &message
	return e
}

// badStatus is the error of a status that is no number: its message has what was said.
func (w *walk) badStatus(raw json.RawMessage, rule Step) end {
	e := w.fail(http.StatusInternalServerError, w.reasonOf(http.StatusInternalServerError), rule)
	e.message = new("not a number: " + w.fill(statusText(raw)))
	return e
}

// statusOf gives the status that a handler's setting says; 0: none.
func (w *walk) statusOf(raw json.RawMessage) (status int, kind statusKind) {
	written := statusText(raw)
	if written == "" {
		return 0, oneStatus
	}
	text, known := w.know(written)
	asked := hasPlaceholder(strings.ReplaceAll(written, "{http.error.status_code}", ""))
	if !known || asked && w.complete() == nil { // samples of what requests have are not all of it
		return 0, anyStatus
	}
	status, err := strconv.Atoi(text)
	if err != nil {
		return 0, noStatusAtAll
	}
	return status, oneStatus
}

type statusKind int

const (
	oneStatus     statusKind = iota
	anyStatus                // whatever the request makes of it
	noStatusAtAll            // no number: an error
)
