package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestXcaddyBuildsTheSameEdge builds from xcaddy.txt as an operator would, and
// compares what is in the two binaries.
func TestXcaddyBuildsTheSameEdge(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile(filepath.Join(root, "xcaddy.txt"))
	if err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(t.TempDir(), "edge")
	arguments := append([]string{"tool", "xcaddy", "build", caddyVersion(t), "--output", built}, strings.Fields(string(list))...)
	build := exec.Command("go", arguments...)
	build.Dir = root
	// With the flags of our own build, xcaddy finds nearly all of it in the build cache. The
	// checksum database has nothing to add: these versions are in our go.sum, and the
	// binary is thrown away.
	build.Env = append(os.Environ(), "XCADDY_GO_BUILD_FLAGS=-buildvcs=false", "GOSUMDB=off", "CGO_ENABLED="+goEnv(t, "CGO_ENABLED"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("xcaddy: %v\n%s", err, output)
	}
	own, other := modules(t, binary), modules(t, built)
	if !slices.Equal(own, other) {
		t.Fatalf("our modules:\n%s\nxcaddy's:\n%s", strings.Join(own, "\n"), strings.Join(other, "\n"))
	}
	for _, module := range []string{
		"tollgate", "http.handlers.api", "http.handlers.access_token", "http.handlers.require", "http.handlers.rate_limit",
		"http.handlers.reverse_proxy", "caddy.storage.redis",
	} {
		if !slices.Contains(own, module) {
			t.Errorf("no module %s", module)
		}
	}
}

// caddyVersion is the one that go.mod requires.
func caddyVersion(t *testing.T) string {
	t.Helper()
	required, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`github\.com/caddyserver/caddy/v2 (v\S+)`).FindSubmatch(required)
	if match == nil {
		t.Fatal("go.mod does not require Caddy")
	}
	return string(match[1])
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// modules gives the module ids in a binary, sorted.
func modules(t *testing.T, binary string) []string {
	t.Helper()
	output, err := exec.Command(binary, "list-modules").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(output)) {
		if id := strings.TrimSpace(line); id != "" && !strings.Contains(id, " ") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
