package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// source is how configuration files are read.
type source struct{ adapter string }

// newSource adds --adapter.
func newSource(cmd *cobra.Command) *source {
	s := new(source)
	cmd.Flags().StringVarP(&s.adapter, "adapter", "a", "caddyfile", "What makes JSON of a configuration that is none")
	return s
}

// flagsAlone is for commands that are told their configuration by --config.
func flagsAlone(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is one word too many: --config names the configuration", args[0])
	}
	return nil
}

// load makes the model of a configuration file.
func (s *source) load(file string) (*policy.Config, error) {
	content, err := s.adapt(file)
	if err != nil {
		return nil, err
	}
	c, err := policy.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c.File = file // file_server hides it, whatever it is called
	return c, nil
}

// adapt gives a configuration file as Caddy's JSON. What cannot be one says what it is: a
// policy that is made of the wrong file has nothing to find fault with.
func (s *source) adapt(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return nil, fmt.Errorf("%s is empty", file)
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")):
		return nil, fmt.Errorf("%s begins with a byte order mark, which Caddy does not read: save it without one", file)
	case !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0:
		return nil, fmt.Errorf("%s is not a text, and so no configuration", file)
	case json.Valid(content): // whatever its name: no Caddyfile is, but {}, which means the same
		// A report, or another program's file, would be a policy of nothing.
		if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(content), new(caddy.Config)); err != nil {
			return nil, fmt.Errorf("%s is JSON, and no configuration of Caddy: %w", file, err)
		}
		return content, nil
	case filepath.Ext(file) == ".json":
		return nil, fmt.Errorf("%s:%w", file, syntaxError(content))
	}
	adapter := caddyconfig.GetAdapter(s.adapter)
	if adapter == nil {
		return nil, fmt.Errorf("there is no adapter %q", s.adapter)
	}
	adapted, _, err := adapter.Adapt(content, map[string]any{"filename": file})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return adapted, nil
}

// syntaxError says in which line JSON ends to be JSON.
func syntaxError(content []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(content, &any)
	at := len(content)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = min(at, int(syntax.Offset))
	}
	return fmt.Errorf("%d: not JSON: %w", 1+bytes.Count(content[:at], []byte("\n")), err)
}
