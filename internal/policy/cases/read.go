package cases

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file.
const (
	maxFile   = 4 << 20
	maxNodes  = 200_000 // aliases counted wherever they are used
	maxRepeat = 100_000
	maxBody   = 1 << 20
	maxWait   = 366 * 24 * time.Hour
)

// reader reads the YAML of a file. Its errors have file and line.
type reader struct {
	file  string
	nodes int // read so far
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", r.file, n.Line, fmt.Errorf(format, args...))
}

// resolve follows an alias, and counts.
func (r *reader) resolve(n *yaml.Node) (*yaml.Node, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, r.fail(n, "more than %d values", maxNodes)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n, nil
}

// fields are what can be in a mapping.
type fields map[string]func(*yaml.Node) error

// mapping reads one. A word that means nothing is a mistake.
func (r *reader) mapping(n *yaml.Node, what string, known fields) error {
	return r.members(n, what, func(key, value *yaml.Node) error {
		read, ok := known[key.Value]
		if !ok {
			return r.fail(key, "%s: unknown field %q: want %s", what, key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		return read(value)
	})
}

// members gives each field, none twice.
func (r *reader) members(n *yaml.Node, what string, f func(key, value *yaml.Node) error) error {
	n, err := r.resolve(n)
	if err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return r.fail(n, "%s: want fields, each with a value", what)
	}
	seen := make(map[string]bool)
	for at := 0; at+1 < len(n.Content); at += 2 {
		key := n.Content[at]
		switch {
		case key.Kind != yaml.ScalarNode:
			return r.fail(key, "%s: a field needs a name", what)
		case seen[key.Value]:
			return r.fail(key, "%s: %s is there twice", what, key.Value)
		}
		seen[key.Value] = true
		if err := f(key, n.Content[at+1]); err != nil {
			return err
		}
	}
	return nil
}

// list reads a list.
func (r *reader) list(n *yaml.Node, what string, f func(*yaml.Node) error) error {
	n, err := r.resolve(n)
	if err != nil {
		return err
	}
	if n.Kind != yaml.SequenceNode {
		return r.fail(n, "%s: want a list", what)
	}
	for _, element := range n.Content {
		if err := f(element); err != nil {
			return err
		}
	}
	return nil
}

// variable is one of the environment, written as in a Caddyfile.
var variable = regexp.MustCompile(`\{\$([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}`)

// expand fills the environment in.
func expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		if value, ok := os.LookupEnv(parts[1]); ok && value != "" {
			return value
		}
		return parts[2]
	})
}

func (r *reader) scalar(n *yaml.Node, what string) (string, error) {
	n, err := r.resolve(n)
	if err != nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", r.fail(n, "%s: want a text", what)
	}
	return expand(n.Value), nil
}

// text reads a text into a variable.
func (r *reader) text(what string, into *string) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		*into, err = r.scalar(n, what)
		return err
	}
}

// absentText reads a text, or null for what must not be there.
func (r *reader) absentText(what string, into **string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		resolved, err := r.resolve(n)
		if err != nil {
			return err
		}
		value := ""
		if resolved.Tag != "!!null" {
			if value, err = r.scalar(n, what); err != nil {
				return err
			}
		}
		*into = &value
		return nil
	}
}

// texts reads a text with blanks between words, or a list of texts.
func (r *reader) texts(what string, into *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		resolved, err := r.resolve(n)
		if err != nil {
			return err
		}
		*into = []string{}
		if resolved.Kind == yaml.ScalarNode {
			text, err := r.scalar(n, what)
			*into = append(*into, strings.Fields(text)...)
			return err
		}
		return r.list(n, what, func(element *yaml.Node) error {
			text, err := r.scalar(element, what)
			*into = append(*into, text)
			return err
		})
	}
}

func (r *reader) flag(what string, into *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		text, err := r.scalar(n, what)
		if err != nil {
			return err
		}
		if text != "true" && text != "false" {
			return r.fail(n, "%s: %q is not true or false", what, text)
		}
		*into = text == "true"
		return nil
	}
}

func (r *reader) number(what string, least, most int, into *int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		text, err := r.scalar(n, what)
		if err != nil {
			return err
		}
		value, err := strconv.Atoi(text)
		if err != nil || value < least || value > most {
			return r.fail(n, "%s: %q is not a number from %d to %d", what, text, least, most)
		}
		*into = value
		return nil
	}
}

func (r *reader) duration(what string, into *time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		text, err := r.scalar(n, what)
		if err != nil {
			return err
		}
		value, err := parseDuration(text)
		if err != nil {
			return r.fail(n, "%s: %q is not a duration, such as 90s, 5m, 24h or 30d", what, text)
		}
		if value > maxWait || value < -maxWait {
			return r.fail(n, "%s: %s is longer than 366d", what, text)
		}
		*into = value
		return nil
	}
}

// parseDuration reads days as Caddy does.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// value reads anything, as JSON could say it.
func (r *reader) value(n *yaml.Node, depth int) (any, error) {
	n, err := r.resolve(n)
	if err != nil {
		return nil, err
	}
	if depth > 20 {
		return nil, r.fail(n, "nested too deep")
	}
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any)
		err := r.members(n, "value", func(key, value *yaml.Node) error {
			member, err := r.value(value, depth+1)
			object[key.Value] = member
			return err
		})
		return object, err
	case yaml.SequenceNode:
		array := []any{}
		err := r.list(n, "value", func(element *yaml.Node) error {
			value, err := r.value(element, depth+1)
			array = append(array, value)
			return err
		})
		return array, err
	}
	return r.plain(n)
}

func (r *reader) plain(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!str":
		return expand(n.Value), nil
	case "!!null":
		return nil, nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, r.fail(n, "%w", errors.New("not a value"))
	}
	switch value.(type) {
	case bool, int, int64, uint64, float64:
		return value, nil
	default:
		return n.Value, nil // a date is a text
	}
}
