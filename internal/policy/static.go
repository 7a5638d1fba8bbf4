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
	for _, text := range settings {
		w.out.tells = append(slices.Clip(w.out.tells), private(w.spelled(plain(text)))...)
	}
	slices.Sort(w.out.tells)
	w.deliver(h, settings)
}

// spelled has what variables were set to in their place, where that is not known before.
func (w *walk) spelled(text string) string {
	for name, value := range w.vars {
		text = strings.ReplaceAll(text, "{http.vars."+name+"}", plain(value))
	}
	return text
}

// private gives the placeholders of a text whose values only the edge knows.
func private(text string) (all []string) {
	if strings.Contains(text, "{env.") || strings.Contains(text, "{file.") {
		all = slices.DeleteFunc(placeholder.FindAllString(text, -1), func(name string) bool {
			return !strings.HasPrefix(name, "{env.") && !strings.HasPrefix(name, "{file.")
		})
	}
	return all
}

// tells says whether an answer has in it what only the edge knows.
func (h *Static) tells() (found bool) {
	for _, text := range h.leaves {
		found = found || len(private(text)) > 0
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
			return next()
		}
		defer func() { w.anyStatus = true }()
		status = http.StatusOK
	case kind != oneStatus:
		return w.fail(http.StatusInternalServerError, w.reasonOf(http.StatusInternalServerError), Step{h.At, h.String()})
	case status == http.StatusEarlyHints: // is not the answer yet
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
	case kind == noStatusAtAll || status == 0:
		status = http.StatusInternalServerError
	}
	return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
}

// statusOf gives the status that a handler's setting says; 0: none.
func (w *walk) statusOf(raw json.RawMessage) (status int, kind statusKind) {
	written := statusText(raw)
	if written == "" {
		return 0, oneStatus
	}
	text, known := w.know(written)
	if !known {
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
