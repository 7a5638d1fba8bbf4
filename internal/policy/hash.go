package policy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
)

// defaultAdmin is where Caddy's admin API listens if the configuration does not say where.
// The environment does, as for Caddy itself.
func defaultAdmin() string {
	if address, ok := os.LookupEnv("CADDY_ADMIN"); ok {
		return address
	}
	return "localhost:2019"
}

// Hash names the policy of a configuration in Caddy's JSON: all of the apps http and
// tollgate, and who reaches the admin API. It does not depend on the order of members or
// on white space. It leaves out what names a policy rather than being one
// (reload_guard's allow), and the URL of Redis: who knows all but a password could
// otherwise try passwords on the hash.
func Hash(config []byte) (string, error) {
	var raw struct {
		Admin Admin `json:"admin"`
		Apps  struct {
			HTTP     any            `json:"http"`
			Tollgate map[string]any `json:"tollgate"`
		} `json:"apps"`
	}
	if err := CheckMembers(config); err != nil {
		return "", err
	}
	if err := json.Unmarshal(config, &raw); err != nil {
		return "", err
	}
	if guard, ok := raw.Apps.Tollgate["reload_guard"].(map[string]any); ok {
		delete(guard, "allow")
	}
	if url, ok := raw.Apps.Tollgate["redis"].(string); ok {
		raw.Apps.Tollgate["redis"] = (&Settings{Redis: url}).HasRedis()
	}
	canonical, err := json.Marshal([]any{WithoutIDs(raw.Apps.HTTP), WithoutIDs(raw.Apps.Tollgate), raw.Admin.canonical()}) // sorts members
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:16]), nil
}

// WithoutIDs takes "@id" away, by which Caddy's admin API finds a part; the edge itself
// never sees it.
func WithoutIDs(value any) any {
	switch value := value.(type) {
	case map[string]any:
		delete(value, "@id")
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

// canonical has the default in place of nothing. An empty list of origins, of paths or of
// methods stays: it allows none, and one that is left out allows some or all. Remote
// administration and what fetches a configuration are on beside an admin API that is off.
func (a *Admin) canonical() any {
	var all []any
	if !a.Disabled {
		all = append(all, a.where(), a.Origins, a.EnforceOrigin)
	}
	if a.Remote != nil {
		all = append(all, a.Remote.Listen, withoutEmpty(a.Remote.Access))
	}
	if load := a.loader(); load != nil {
		all = append(all, load)
	}
	return WithoutIDs(all)
}

// loader is what fetches another configuration while this one runs.
func (a *Admin) loader() any {
	if a.Config == nil {
		return nil
	}
	return a.Config.Load
}

// loaderName is the module that fetches: how it is set may be secret.
func loaderName(load any) string {
	o, _ := load.(object)
	module, _ := o["module"].(string)
	return cmp.Or(module, "none")
}

// withoutEmpty takes away members that say what leaving them out says.
func withoutEmpty(value any) any {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			withoutEmpty(element)
		}
	case map[string]any:
		for name, member := range value {
			switch text := compact(withoutEmpty(member)); text {
			case "null", "false", `""`, "0", "{}": // no empty list: it can be narrower than none
				delete(value, name)
			}
		}
	}
	return value
}
