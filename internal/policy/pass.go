package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Pass changes nothing about who gets where.
type Pass struct {
	At, What string

	text    string            // as it is written
	vars    map[string]string // that it sets
	mapping mapping           // of a map
	mapped  map[string]string // by destination, all that a map may make of it
	braces  [2]string         // of a template's actions
	types   []string          // of the answers that it is run over
	maxBody int64             // of request_body; 0: none
	setBody string            // which it puts in the place of what was sent; empty: none
}

func newPass(at, what string, raw json.RawMessage) *Pass {
	h := &Pass{At: at, What: what, text: canonicalJSON(raw)}
	switch what {
	case "vars":
		h.vars = make(map[string]string)
		var all map[string]any
		_ = json.Unmarshal(raw, &all) // was read before
		delete(all, "handler")
		for name, value := range all {
			if text, ok := value.(string); ok && name != "log_skip" { // that is no text
				h.vars[name] = text
			} else if name != "log_skip" || !ok {
				h.vars[name] = compact(value)
			}
		}
	case "map":
		_ = json.Unmarshal(raw, &h.mapping) // what is not read so does not load
		h.mapped = h.mapping.mapped()
	case "templates":
		h.braces, h.types = delimiters(raw), mimeTypes(raw)
	case "request_body":
		var body struct {
			Max int64  `json:"max_size"`
			Set string `json:"set"`
		}
		_ = json.Unmarshal(raw, &body)
		h.maxBody, h.setBody = body.Max, body.Set
	}
	return h
}

func (h *Pass) String() string { return h.What }

func (h *Pass) serve(w *walk, next next) end {
	if h.What == "identity_assertion" {
		if status, fails := w.fails(assertionFails, h.At); fails {
			return w.deny(status, "", Step{h.At, h.String()})
		}
	}
	if h.maxBody > 0 {
		w.out.bounded = true
		if status, fails := w.fails(bodyFails, h.At); fails {
			return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
		}
	}
	w.copied = w.copied || h.What == "tracing"
	if h.vars == nil {
		w.passes = append(slices.Clip(w.passes), h.filled(w))
		return next()
	}
	vars := maps.Clone(w.vars)
	if vars == nil {
		vars = make(map[string]string, len(h.vars))
	}
	for name, value := range h.vars {
		vars[name] = w.fill(value)
		if is := w.guesses(value); is != w.guessed[name] {
			guessed := maps.Clone(w.guessed)
			if guessed == nil {
				guessed = make(map[string]bool)
			}
			guessed[name], w.guessed = is, guessed
		}
	}
	w.vars = vars
	return next()
}

// filled is the handler with what the walk makes of its placeholders.
func (h *Pass) filled(w *walk) *Pass {
	if !placeholder.MatchString(h.text) {
		return h
	}
	own := *h
	own.text, own.setBody = w.fillIn(h.text), w.fill(h.setBody)
	return &own
}

// mapping is what a map makes of its source.
type mapping struct {
	Source       string   `json:"source"`
	Destinations []string `json:"destinations"`
	Mappings     []struct {
		Input      string `json:"input"`
		Expression string `json:"input_regexp"`
		Outputs    []any  `json:"outputs"`
	} `json:"mappings"`
	Defaults []string `json:"defaults"`
}

// mapped gives what may come of each destination.
func (m *mapping) mapped() map[string]string {
	all := make(map[string]string)
	for n, destination := range m.Destinations {
		var outputs []string
		for _, mapping := range m.Mappings {
			if n < len(mapping.Outputs) {
				outputs = append(outputs, fmt.Sprint(mapping.Outputs[n]))
			}
		}
		if n < len(m.Defaults) {
			outputs = append(outputs, m.Defaults[n])
		}
		all["{"+strings.Trim(destination, "{}")+"}"] = strings.Join(outputs, " or ")
	}
	return all
}

// delimiters are those of the actions in a template.
func delimiters(raw json.RawMessage) [2]string {
	var t struct {
		Delimiters []string `json:"delimiters"`
	}
	_ = json.Unmarshal(raw, &t)
	both := [2]string{"{{", "}}"}
	if len(t.Delimiters) == 2 {
		for n, own := range t.Delimiters {
			both[n] = cmp.Or(own, both[n])
		}
	}
	return both
}

// mimeTypes are parts of the Content-Types over whose answers a template is run.
func mimeTypes(raw json.RawMessage) []string {
	t := struct {
		Types []string `json:"mime_types"`
	}{}
	_ = json.Unmarshal(raw, &t)
	if t.Types == nil {
		return []string{"text/html", "text/plain", "text/markdown"}
	}
	return t.Types
}

// wraps says whether the handler does something with the answer of those after it, and so
// nothing with the answer to an error of theirs.
func (h *Pass) wraps() bool {
	return strings.Contains(" encode templates intercept ", " "+h.What+" ")
}

// silent says whether a change of the handler changes nothing that anybody reaches: how an
// answer is packed, and what is traced.
func (h *Pass) silent() bool {
	return strings.Contains(" encode tracing push ", " "+h.What+" ")
}
