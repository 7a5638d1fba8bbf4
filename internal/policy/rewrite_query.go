package policy

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// queryChanges are what a rewrite does to parameters.
type queryChanges struct {
	Rename  []parameter         `json:"rename,omitempty"`
	Set     []parameter         `json:"set,omitempty"`
	Add     []parameter         `json:"add,omitempty"`
	Replace []parameterReplacer `json:"replace,omitempty"`
	Delete  []string            `json:"delete,omitempty"`
}

type parameter struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"val,omitempty"`
}

type parameterReplacer struct {
	Key    string `json:"key,omitempty"`
	Search string `json:"search,omitempty"`
	Regexp string `json:"search_regexp,omitempty"`
	With   string `json:"replace,omitempty"`

	compiled *regexp.Regexp
}

func (q *queryChanges) compile() (err error) {
	for n := range q.Replace {
		if r := &q.Replace[n]; r.Regexp != "" && err == nil {
			r.compiled, err = regexp.Compile(r.Regexp)
		}
	}
	return err
}

// samples are parameters that it names, with values that it makes others of.
func (q *queryChanges) samples() []string {
	var all []string
	add := func(key, value string) {
		if key != "" && key != "*" {
			all = append(all, url.QueryEscape(key)+"="+url.QueryEscape(value))
		}
	}
	for _, p := range slices.Concat(q.Rename, q.Set, q.Add) {
		add(p.Key, stranger)
	}
	for _, key := range q.Delete {
		add(key, stranger)
	}
	for _, r := range q.Replace {
		key, value := r.Key, r.Search
		if key == "*" {
			key = stranger
		}
		if found := regexpInstances(r.Regexp, 1); r.Regexp != "" && len(found) > 0 {
			value = found[0]
		}
		add(key, value)
	}
	return all
}

// change does what Caddy does, in its order.
func (q *queryChanges) change(u *url.URL, know func(string) string) {
	query := u.Query()
	for _, p := range q.Rename {
		from, to := know(p.Key), know(p.Value)
		if values, there := query[from]; there && from != "" && to != "" && from != to {
			query[to] = values
			delete(query, from)
		}
	}
	for _, p := range q.Set {
		if key := know(p.Key); key != "" {
			query[key] = []string{know(p.Value)}
		}
	}
	for _, p := range q.Add {
		if key := know(p.Key); key != "" {
			query[key] = append(query[key], know(p.Value))
		}
	}
	for _, r := range q.Replace {
		r.change(query, know)
	}
	for _, raw := range q.Delete {
		if key := know(raw); key != "" {
			delete(query, key)
		}
	}
	u.RawQuery = query.Encode()
}

func (r *parameterReplacer) change(query url.Values, know func(string) string) {
	key, search, with := know(r.Key), know(r.Search), know(r.With)
	for name, values := range query {
		if name != key && key != "*" {
			continue
		}
		for n := range values {
			if r.compiled != nil {
				values[n] = r.compiled.ReplaceAllString(values[n], with)
			} else {
				values[n] = strings.ReplaceAll(values[n], search, with)
			}
		}
	}
}
