package jose

import (
	"encoding/json"
	"os"
	"testing"
)

// example is one of RFC 7520 section 4, as github.com/ietf-jose/cookbook has it, with
// the public parts of asymmetric keys only.
type example struct {
	Title     string
	Key       map[string]any
	Payload   string
	Compact   string
	General   json.RawMessage `json:"json"`
	Flattened json.RawMessage `json:"json_flat"`
}

// TestExamplesOfTheCookbook verifies what is signed by an algorithm of ours, and
// refuses the others for what they are: algorithms that no access token is signed with
// (PS384, ES512, HS256), detached content, and JSON, which can bear unsigned members.
func TestExamplesOfTheCookbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/rfc7520.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	if err := json.Unmarshal(text, &examples); err != nil || len(examples) != 8 {
		t.Fatalf("%d examples: %v", len(examples), err)
	}
	verified := 0
	for _, e := range examples {
		for _, form := range []json.RawMessage{e.General, e.Flattened} {
			if _, err := ParseCompact(string(form)); err == nil {
				t.Errorf("%s: JSON is read", e.Title)
			}
		}
		m, err := ParseCompact(e.Compact)
		key, badKey := ParseKey(e.Key)
		if err != nil || badKey != nil {
			continue
		}
		for _, algorithm := range []Algorithm{RS256, PS256, ES256, EdDSA} {
			if m.Verify(key, algorithm) != nil {
				continue
			}
			verified++
			if e.Title != "RSA v1.5 Signature" || algorithm != RS256 || string(m.Payload) != e.Payload {
				t.Errorf("%s verifies as %s with payload %q", e.Title, algorithm, m.Payload)
			}
		}
	}
	if verified != 1 {
		t.Errorf("%d verified, want the one by RS256", verified)
	}
}
