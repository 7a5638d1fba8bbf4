package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// errorMatcher is what handle_errors makes of status codes.
type errorMatcher struct {
	raw   string
	list  bool
	codes func(status int) bool
}

var (
	errorList  = regexp.MustCompile(`^\{http\.error\.status_code\} in \[([0-9, ]+)\]$`)
	errorRange = regexp.MustCompile(`^\{http\.error\.status_code\} >= ([0-9]+) && \{http\.error\.status_code\} <= ([0-9]+)$`)
)

func newErrorMatcher(raw json.RawMessage) (Matcher, bool) {
	var text string
	var object struct {
		Expr string `json:"expr"`
	}
	if json.Unmarshal(raw, &text) != nil {
		_ = json.Unmarshal(raw, &object) // of another form: unknown
		text = object.Expr
	}
	if list := errorList.FindStringSubmatch(text); list != nil {
		codes, ok := numbers(strings.FieldsFunc(list[1], func(r rune) bool { return r == ',' || r == ' ' }))
		return errorMatcher{text, true, func(status int) bool { return slices.Contains(codes, status) }}, ok
	}
	if ends := errorRange.FindStringSubmatch(text); ends != nil {
		codes, ok := numbers(ends[1:])
		return errorMatcher{text, false, func(status int) bool { return codes[0] <= status && status <= codes[1] }}, ok
	}
	return nil, false
}

func numbers(texts []string) (all []int, ok bool) {
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

func (m errorMatcher) String() string { return "expression " + m.raw }

func (m errorMatcher) matches(w *walk) bool {
	if w.toldStatus == openStatus {
		return w.unknown(m.String() + " of a status that the request decides")
	}
	if w.toldStatus == 0 && !m.list { // nothing cannot be compared, unless another matcher of the set says no first
		if w.unknown(m.String() + " where no status is known") {
			w.broken = m.String() + " where no status is known: it fails"
		}
		return false
	}
	return w.toldStatus > 0 && m.codes(w.toldStatus)
}
