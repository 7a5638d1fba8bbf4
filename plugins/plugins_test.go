package plugins_test

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	standard = "github.com/caddyserver/caddy/v2/modules/standard" // xcaddy adds it by itself
	own      = "github.com/open-tollgate/tollgate"
)

// TestPluginsAreThoseOfXcaddy holds the blank imports and xcaddy.txt together.
func TestPluginsAreThoseOfXcaddy(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, argument := range arguments(t) {
		module, _, _ := strings.Cut(argument, "@")
		listed = append(listed, module)
	}
	slices.Sort(listed)
	if got := imports(t); !slices.Equal(got, listed) {
		t.Fatalf("plugins.go imports %q, xcaddy.txt lists %q", got, listed)
	}
}

// TestXcaddyPinsOurVersions compares with go.mod, so that both builds are the same.
func TestXcaddyPinsOurVersions(t *testing.T) {
	t.Parallel()
	required, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, argument := range arguments(t) {
		module, version, pinned := strings.Cut(argument, "@")
		if !pinned {
			t.Errorf("%s has no version", module)
		}
		if module != own && !strings.Contains(string(required), module+" "+version+"\n") {
			t.Errorf("go.mod requires another version than %s", argument)
		}
	}
}

// arguments gives what follows --with in each line.
func arguments(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../xcaddy.txt")
	if err != nil {
		t.Fatal(err)
	}
	var arguments []string
	for line := range strings.Lines(string(text)) {
		argument, ok := strings.CutPrefix(strings.TrimSpace(line), "--with ")
		if !ok {
			t.Fatalf("%q does not start with --with", line)
		}
		arguments = append(arguments, argument)
	}
	return arguments
}

func imports(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "plugins.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if path != standard {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}
