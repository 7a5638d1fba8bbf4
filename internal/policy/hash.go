package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// defaultAdmin is where Caddy's admin API listens if nobody says where.
const defaultAdmin = "localhost:2019"

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

// canonical has the default in place of nothing, and nothing in place of what is empty.
func (a Admin) canonical() any {
	if a.Disabled {
		return nil
	}
	if a.Listen == "" {
		a.Listen = defaultAdmin
	}
	if len(a.Origins) == 0 {
		a.Origins = nil
	}
	if a.Remote != nil {
		return []any{a.Listen, a.Origins, a.EnforceOrigin, a.Remote.Listen, withoutEmpty(a.Remote.Access)}
	}
	return []any{a.Listen, a.Origins, a.EnforceOrigin}
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
			case "null", "false", `""`, "0", "[]", "{}":
				delete(value, name)
			}
		}
	}
	return value
}
