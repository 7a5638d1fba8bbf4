package openapitest

import (
	"strings"
	"testing"
)

const released = `
openapi: 3.1.0
info: {title: Things, version: 1.0.0}
paths:
  /api/things:
    get:
      operationId: listThings
      parameters:
        - {name: color, in: query, schema: {type: string, enum: [red, blue]}}
      responses:
        "200":
          description: Things.
          content:
            application/json:
              schema:
                type: object
                required: [id]
                properties:
                  id: {type: string}
                  name: {type: string}
`

func TestRequireCompatibleFindsBreaks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		was, is string
		broken  bool
	}{
		"nothing":                 {"", "", false},
		"one more member":         {"name: {type: string}\n", "name: {type: string}\n                  size: {type: integer}\n", false},
		"a member gone":           {"                  id: {type: string}\n", "", true},
		"a member of other type":  {"id: {type: string}", "id: {type: integer}", true},
		"a value gone":            {"[red, blue]", "[red]", true},
		"an operation gone":       {"/api/things:", "/api/stuff:", true},
		"a parameter now wanted":  {"in: query,", "in: query, required: true,", true},
		"a member no longer sure": {"required: [id]", "required: []", true},
	} {
		broken, err := breaks([]byte(released), []byte(strings.Replace(released, c.was, c.is, 1)))
		if err != nil || (len(broken) > 0) != c.broken {
			t.Errorf("%s: %v, %v", name, broken, err)
		}
	}
}

func TestWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	broken := []string{"GET /a: removed", "GET /b: removed", "POST /a: added"}
	for announced, want := range map[string]string{
		"":                "GET /a: removed|GET /b: removed|POST /a: added",
		"removed":         "POST /a: added",
		"removed|added":   "",
		"removed|renamed": "POST /a: added|announced, and not there: renamed",
	} {
		list := strings.FieldsFunc(announced, func(c rune) bool { return c == '|' })
		if got := strings.Join(unannounced(broken, list), "|"); got != want {
			t.Errorf("%q: got %q, want %q", announced, got, want)
		}
	}
}
