package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// telling is something that only the edge knows, or finds for the caller, and an answer has
// in it: a placeholder, an action of a template. Whether it really has may depend on more.
type telling struct{ what, by string }

// tells are those of the answer.
func (y *way) tells() (all []telling) {
	for _, text := range y.answer {
		all = append(all, y.told(text)...)
	}
	if by, own := y.by.(*Static); own {
		for _, text := range y.settings {
			all = append(all, y.told(text)...)
		}
		for _, h := range y.passes {
			if h.What == "templates" {
				all = append(all, y.toldBy(h, by.Body)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b telling) int { return strings.Compare(a.what+a.by, b.what+b.by) })
	return slices.Compact(all)
}

// whatIsSet is a placeholder with what handlers have set it to.
var whatIsSet = regexp.MustCompile(`\{[^{}]*= [^{}]*\}`)

// told are the placeholders of a text whose values only the edge knows. Which of its outputs a
// map gives depends on its source.
func (y *way) told(text string) (all []telling) {
	for _, what := range private(plain(whatIsSet.ReplaceAllString(text, ""))) {
		all = append(all, telling{what: what})
	}
	for _, one := range whatIsSet.FindAllString(text, -1) {
		one = plain(one)
		for _, what := range private(one) {
			all = append(all, telling{what, y.chosenBy(one)})
		}
	}
	return all
}

var sourceSet = regexp.MustCompile(`, by [^{}]*|, of .*`)

// chosenBy is by what maps choose what is in a text: their sources, and what these are
// compared with.
func (y *way) chosenBy(text string) (by string) {
	for _, h := range y.passes {
		for name := range h.mapped {
			if strings.Contains(text, strings.TrimSuffix(name, "}")+"= ") {
				by += h.mapping.inputs() + strings.Join(sourceSet.FindAllString(text, -1), "")
			}
		}
	}
	return by
}

// inputs are those for which something is put out that is not written out.
func (m *mapping) inputs() (all string) {
	every := slices.ContainsFunc(m.Defaults, hasPlaceholder)
	for _, mapping := range m.Mappings {
		if every || hasPlaceholder(fmt.Sprint(mapping.Outputs...)) {
			all += fmt.Sprintf("%q %q ", mapping.Input, mapping.Expression)
		}
	}
	return all
}

// toldBy is what a template tells that is run over the answer. What the caller writes there is
// a template of his own: as written, since no sample of it is one.
func (y *way) toldBy(h *Pass, written string) (all []telling) {
	by := ""
	if kind, known := y.contentType(); !known {
		by = kind + " " + strings.Join(h.types, " ")
	} else if !slices.ContainsFunc(h.types, func(one string) bool { return strings.Contains(kind, one) }) {
		return nil
	}
	body := plain(y.settings["body"])
	for _, action := range h.actions(body) {
		all = append(all, telling{action, by})
	}
	for _, name := range placeholder.FindAllString(body+"\n"+written, -1) {
		ofQuery := strings.HasPrefix(name, "{"+queryPlaceholder)
		if of := sourceOf(strings.Trim(name, "{}")); (of == ofPath || of == ofCaller) && !(ofQuery && y.queried) {
			all = append(all, telling{"a template by " + name, by})
		}
	}
	return all
}

// contentType is that of an answer of the configuration's own, as Caddy chooses it, or all that
// is known of it.
func (y *way) contentType() (kind string, known bool) {
	kind, written := y.settings["field Content-Type"]
	known = !hasPlaceholder(kind)
	if body := strings.TrimSpace(plain(y.settings["body"])); !written {
		kind = "text/plain"
		if body != "" && strings.ContainsAny(body[:1], "{[") {
			known = !slices.ContainsFunc(placeholder.FindAllString(body, -1), isFilled)
			if json.Valid([]byte(body)) {
				kind = "application/json"
			}
		}
	}
	for _, text := range y.answer {
		if strings.Contains(strings.ToLower(text), "content-type") || strings.Contains(text, "*") {
			kind, known = kind+" "+text, false
		}
	}
	return kind, known
}

// isFilled says whether something is known to come out of what looks like a placeholder.
func isFilled(name string) bool {
	return strings.Contains(name, "= ") || strings.HasPrefix(name, "{what is in ") || sourceOf(strings.Trim(name, "{}")) != ofNobody
}
