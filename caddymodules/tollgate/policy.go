package tollgate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// policy names what a configuration lets through: the settings of this app and the
// definition of each API. Two that have the same hash decide alike wherever a request
// reaches the same API; how sites lead requests to APIs is not in it.
type policy struct {
	hash     string
	settings string
	apis     map[string]string // definition by name
}

// newPolicy sums the app up, when all APIs are known.
func (a *App) newPolicy() (policy, error) {
	settings, err := a.comparable()
	if err != nil {
		return policy{}, err
	}
	p := policy{settings: string(settings), apis: a.apis}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%d:%s", len(settings), settings) // hashes do not fail
	for _, name := range slices.Sorted(maps.Keys(a.apis)) {
		_, _ = fmt.Fprintf(sum, "%s %d:%s", name, len(a.apis[name]), a.apis[name])
	}
	p.hash = hex.EncodeToString(sum.Sum(nil)[:16])
	return p, nil
}

// comparable gives the settings without the URL of Redis: who knows a hash and all but a
// password could find it out.
func (a *App) comparable() ([]byte, error) {
	encoded, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &settings); err != nil {
		return nil, err
	}
	delete(settings, "redis")
	return json.Marshal(settings)
}

// changes says in words what is different from an earlier policy.
func (p policy) changes(before policy) string {
	var parts []string
	say := func(what string, names []string) {
		if len(names) > 0 {
			slices.Sort(names)
			parts = append(parts, what+" "+strings.Join(names, " "))
		}
	}
	var added, removed, changed []string
	for name, definition := range p.apis {
		was, known := before.apis[name]
		switch {
		case !known:
			added = append(added, name)
		case was != definition:
			changed = append(changed, name)
		}
	}
	for name := range before.apis {
		if _, stays := p.apis[name]; !stays {
			removed = append(removed, name)
		}
	}
	say("APIs added:", added)
	say("APIs removed:", removed)
	say("APIs changed:", changed)
	if p.settings != before.settings {
		parts = append(parts, "the tollgate settings changed")
	}
	if len(parts) == 0 {
		return "no API and no setting changed"
	}
	return strings.Join(parts, "; ")
}

// PolicyHash names the policy of this configuration, for logs. It is there from Start on.
func (a *App) PolicyHash() string { return a.policy.hash }
