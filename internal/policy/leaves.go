package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// leavesOf takes JSON apart: "transport.tls.server_name" and what it is, as a text that is
// equal for what means the same. Elements of a list are no names of their own. An object
// without members is a leaf.
func leavesOf(raw json.RawMessage) map[string]string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	leaves := make(map[string]string)
	addLeaves(leaves, "", value)
	return leaves
}

func addLeaves(leaves map[string]string, at string, value any) {
	switch value := value.(type) {
	case nil:
		return
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			addLeaves(leaves, strings.TrimPrefix(at+"."+name, "."), value[name])
		}
		if len(value) > 0 {
			return
		}
	case []any:
		if slices.ContainsFunc(value, isObject) {
			for _, element := range value {
				addLeaves(leaves, at, element)
			}
			return
		}
	}
	if before, ok := leaves[at]; ok {
		leaves[at] = before + ", " + compact(value)
		return
	}
	leaves[at] = compact(value)
}

// filledLeaves are those that placeholders decide about, with what the walk makes of these.
// Members below the ones left out are compared elsewhere.
func filledLeaves(w *walk, leaves map[string]string, leftOut ...string) map[string]string {
	all := make(map[string]string)
	for name, text := range leaves {
		if _, found := ruleOf(setOf(leftOut), name); !found && placeholder.MatchString(text) {
			all[name] = w.fillIn(text)
		}
	}
	return all
}

func setOf(names []string) map[string]meaning {
	set := make(map[string]meaning, len(names))
	for _, name := range names {
		set[name] = ignored
	}
	return set
}

func isObject(value any) bool { _, ok := value.(map[string]any); return ok }

// has says whether there is a leaf at a place or below it.
func has(leaves map[string]string, at string) bool {
	if _, ok := leaves[at]; ok {
		return true
	}
	for name := range leaves {
		if strings.HasPrefix(name, at+".") {
			return true
		}
	}
	return false
}

// meaning says what a change of a leaf is.
type meaning int

// What no rule names is not analysed, and counts as wider.
const (
	unruled   meaning = iota
	ignored           // changes nothing that anybody reaches, or is compared elsewhere
	moves             // something else is reached, or otherwise
	unordered         // each side may be the wider one
	opening           // while it is true
)

// ruleOf finds the name of the rule for a leaf, or for what it is a part of.
func ruleOf(rules map[string]meaning, at string) (name string, ok bool) {
	for {
		if _, ok := rules[at]; ok {
			return at, true
		}
		n := strings.LastIndexByte(at, '.')
		if n < 0 {
			return "", false
		}
		at = at[:n]
	}
}

// canonicalJSON is a text that is equal for what means the same.
func canonicalJSON(raw json.RawMessage) string {
	var value any
	if len(raw) == 0 || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return compact(value)
}
