package conformance

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	advice = regexp.MustCompile(`option tollgate, to keep the guard, reload_guard with the line: (allow [0-9a-f]{32}); or, to turn it off, reload_guard off with the line: (allow [0-9a-f]{32})`)
	blocks = regexp.MustCompile(`(?s)option tollgate, to keep the guard:\n\n(.*)\nor, to turn it off:\n\n(.*)$`)
)

// TestGuardsAdviceIsGood loads configurations without a guard where one is on, and does
// what the refusal, and diff, say: once so that the guard stays, once so that it goes.
func TestGuardsAdviceIsGood(t *testing.T) {
	t.Parallel()
	const without = "{\n\tadmin {$TOLLGATE_ADMIN}\n\tGUARD\n}\nhttp://{$TOLLGATE_LISTEN} {\n\tbind seamless/127.0.0.1\n\trespond \"open\"\n}\n"
	for name, text := range map[string]func(g *guarded, guard string) string{
		"no guard": func(g *guarded, guard string) string { return g.text(guard, needsNil, "") },
		"off": func(g *guarded, guard string) string {
			if guard == "" {
				guard = "reload_guard off"
			}
			return g.text(guard, needsNil, "")
		},
		"an option that it keeps": func(g *guarded, guard string) string {
			switch head, block, ok := strings.Cut(guard, "{"); {
			case guard == "":
				guard = "reload_guard off {\n\t\t\tallow_moved\n\t\t}"
			case ok:
				guard = head + "{\n\t\t\tallow_moved" + block
			}
			return g.text(guard, needsNil, "")
		},
		"nothing of Tollgate's": func(_ *guarded, guard string) string {
			if guard != "" {
				guard = "tollgate {\n" + guard + "\n}"
			}
			return strings.Replace(without, "GUARD", guard, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, says := range []string{"refusal", "diff"} {
				g := startGuarded(t, guardOn, needsOne)
				old := writeConfig(t, "Caddyfile", g.text(guardOn, needsOne, ""))
				output, loaded := g.loadText(text(g, ""))
				if loaded {
					t.Fatalf("is loaded unnamed: %s", output)
				}
				var keep, off string
				if says == "refusal" {
					lines := advice.FindStringSubmatch(output)
					if lines == nil {
						t.Fatalf("says not what to do: %s", output)
					}
					keep, off = "reload_guard {\n"+lines[1]+"\n}", "reload_guard off {\n"+lines[2]+"\n}"
				} else {
					said := g.policy("diff", old, g.config)
					found := blocks.FindStringSubmatch(said)
					if found == nil {
						t.Fatalf("says not what to do: %s", said)
					}
					keep, off = found[1], found[2]
				}
				if output, loaded := g.loadText(text(g, keep)); !loaded {
					t.Fatalf("%s, the guard stays: %s\n%s", says, keep, output)
				}
				if output, loaded := g.loadText(text(g, "")); loaded || !strings.Contains(output, strings.Fields(off)[4]) {
					t.Errorf("%s: the guard has gone, or says something else: %s", says, output)
				}
				if output, loaded := g.loadText(text(g, off)); !loaded {
					t.Fatalf("%s, the guard goes: %s\n%s", says, off, output)
				}
				if output, loaded := g.loadText(text(g, "")); !loaded {
					t.Errorf("%s: the guard is there still: %s", says, output)
				}
			}
		})
	}
}

// loadText reloads a Caddyfile by the command.
func (g *guarded) loadText(text string) (output string, loaded bool) {
	g.t.Helper()
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	command := exec.Command(binary, "reload", "--config", g.config, "--adapter", "caddyfile", "--address", g.admin)
	command.Env = g.env
	out, err := command.CombinedOutput()
	return string(out), err == nil
}
