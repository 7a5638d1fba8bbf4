package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// tree is a configuration as the hash and the comparison of settings see it: the admin
// API and all apps, and the log and the storage where the text has them. Ids, defaults
// that are written out and secrets are not in it.
type tree map[string]any

func treeOf(config []byte) (tree, error) {
	var t tree
	var admin Admin
	if err := CheckMembers(config); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(config, &t); err != nil {
		return nil, err
	}
	if t == nil {
		t = make(tree)
	}
	WithoutIDs(map[string]any(t))
	if err := json.Unmarshal([]byte(compact(t["admin"])), &admin); err != nil {
		return nil, err
	}
	t["admin"] = withoutSecrets(admin.tree())
	for _, name := range []string{"logging", "storage"} {
		if there, ok := t[name]; ok {
			t[name] = withoutSecrets(there)
		}
	}
	apps, ok := t["apps"].(map[string]any)
	if t["apps"] != nil && !ok {
		return nil, fmt.Errorf("apps is %s, and not an object", compact(t["apps"]))
	}
	for name, app := range apps {
		switch name {
		case "http": // whole: what looks like a secret there may be what decides
		case "tollgate":
			tollgateWithoutSecrets(app)
		default:
			apps[name] = withoutSecrets(app)
		}
	}
	return t, nil
}

// at gives a part of the tree; nil where it is not there.
func (t tree) at(path ...string) any {
	var value any = map[string]any(t)
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// WithoutIDs takes "@id" away, by which Caddy's admin API finds a part; the edge itself
// never sees it. It is a text or a number: what else has that name, as the values of a
// parameter that a matcher wants have, Caddy leaves there.
func WithoutIDs(value any) any {
	switch value := value.(type) {
	case map[string]any:
		switch value["@id"].(type) {
		case string, float64, json.Number:
			delete(value, "@id")
		}
		for _, member := range value {
			WithoutIDs(member)
		}
	case []any:
		for _, element := range value {
			WithoutIDs(element)
		}
	}
	return value
}

// textWithoutIDs is WithoutIDs of a text, which stays as it is where there are none.
func textWithoutIDs(config []byte) ([]byte, error) {
	if !bytes.Contains(config, []byte(`"@id"`)) {
		return config, nil
	}
	var root any
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // matchers are told as they are written
	err := encoder.Encode(WithoutIDs(root))
	return text.Bytes(), err
}

// leftOut stands for a secret.
const leftOut = "(a secret, left out)"

var (
	// secretName finds members that hold secrets, by their name.
	secretName = regexp.MustCompile(`(?i)passw|passphrase|secret|token|credential|(?:api|mac|encryption)_?key|authorization|cookie`)
	// elsewhere is a secret that is somewhere else: its name is none.
	elsewhere = regexp.MustCompile(`^\{(env|file)\.[^{}]+\}$`)

	userinfo      = regexp.MustCompile(`(://)[^/?#\s]*@`)
	secretInQuery = regexp.MustCompile(`(?i)([?&][^=&#\s]*(?:passw|secret|token|key)[^=&#\s]*=)[^&#\s]*`)
	privateKey    = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
)

// withoutSecrets takes away what a hash would let somebody try: passwords and the like are
// short. Who holds one is still there.
func withoutSecrets(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if secretName.MatchString(name) {
				value[name] = withoutTexts(member)
			} else {
				value[name] = withoutSecrets(member)
			}
		}
	case []any:
		for n, element := range value {
			value[n] = withoutSecrets(element)
		}
	case string:
		return publicText(value)
	}
	return value
}

// withoutTexts takes all texts away that do not name a place.
func withoutTexts(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = withoutTexts(member)
		}
	case []any:
		for n, element := range value {
			value[n] = withoutTexts(element)
		}
	case string:
		if value != "" && !elsewhere.MatchString(value) {
			return leftOut
		}
	}
	return value
}

// publicText is a text without what only its holder may know: who asks, and a private key.
func publicText(text string) string {
	if privateKey.MatchString(text) {
		return leftOut
	}
	return secretInQuery.ReplaceAllString(userinfo.ReplaceAllString(text, "$1"), "$1")
}

// tollgateWithoutSecrets leaves out the only two places of the app's that can hold one.
func tollgateWithoutSecrets(app any) {
	object, _ := app.(map[string]any)
	if url, ok := object["redis"].(string); ok {
		if url = publicText(url); !strings.Contains(url, "://") && url != "" && url != "off" {
			url = leftOut // is not a URL, and nobody knows what it is
		}
		object["redis"] = url
	}
	issuers, _ := object["issuers"].([]any)
	for _, element := range issuers {
		issuer, _ := element.(map[string]any)
		if asks, ok := issuer["introspection"].(map[string]any); ok && asks["client_secret"] != nil {
			asks["client_secret"] = withoutTexts(asks["client_secret"])
		}
	}
}
