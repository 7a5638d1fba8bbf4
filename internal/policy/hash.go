package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
)

// Hash names the policy of a configuration in Caddy's JSON: all of its apps, and the admin
// API. It does not depend on the order of members or on white space. It leaves out what
// names a policy rather than being one (reload_guard's allow), and secrets: who knows all
// but a password could otherwise try passwords on the hash.
//
// It is the hash of an edge that runs, too, and Caddy shows it all of this, but not
// storage and logging, which are therefore not in it. Where the admin API is off, Caddy
// shows only the apps http and tollgate for sure, and so the others are not in it, either.
func Hash(config []byte) (string, error) {
	t, err := treeOf(config)
	if err != nil {
		return "", err
	}
	return t.hash()
}

func (t tree) hash() (string, error) { return t.hashWith(t.guard()) }

// guard is reload_guard as far as it is in the hash; nil where there is none.
func (t tree) guard() map[string]any {
	guard, _ := t.at("apps", "tollgate", "reload_guard").(map[string]any)
	guard = maps.Clone(guard)
	delete(guard, "allow")
	return guard
}

// hashWith is the hash of the configuration with another reload_guard in it.
func (t tree) hashWith(guard map[string]any) (string, error) {
	apps := make(map[string]any)
	all, _ := t.at("apps").(map[string]any)
	maps.Copy(apps, all)
	if t.at("admin", "disabled") == true {
		maps.DeleteFunc(apps, func(name string, _ any) bool { return name != "http" && name != "tollgate" })
	}
	if guard != nil {
		app := make(map[string]any)
		was, _ := apps["tollgate"].(map[string]any)
		maps.Copy(app, was)
		app["reload_guard"], apps["tollgate"] = guard, app
	}
	canonical, err := json.Marshal([]any{t["admin"], apps}) // sorts members
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:16]), nil
}
