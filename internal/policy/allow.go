package policy

import (
	"fmt"
	"maps"
)

// Allow are the hashes by which reload_guard's allow names a configuration. The guard is
// part of the policy: to write one into a configuration makes another policy of it, which
// is the one that has to be named.
type Allow struct {
	Guarded string `json:"guarded"`       // with the guard on
	Off     string `json:"off,omitempty"` // with reload_guard off; empty where the guard is on
}

// Allow says how this configuration names itself.
func (c *Config) Allow() Allow {
	if c.Tollgate.Guard.On() {
		return Allow{Guarded: c.Hash}
	}
	on := make(map[string]any)
	maps.Copy(on, c.tree.guard())
	delete(on, "off")
	off := maps.Clone(on)
	off["off"] = true
	return Allow{Guarded: c.tree.mustHashWith(on), Off: c.tree.mustHashWith(off)}
}

// mustHashWith is for the tree of a configuration that has a hash: another guard in it
// does not keep it from being written.
func (t tree) mustHashWith(guard map[string]any) string {
	hash, err := t.hashWith(guard)
	if err != nil {
		panic(err)
	}
	return hash
}

// Advice says what to write into the configuration, in a line.
func (a Allow) Advice() string {
	if a.Off == "" {
		return "write into the new configuration's reload_guard: allow " + a.Guarded
	}
	return fmt.Sprintf("write into the new configuration's option tollgate, to keep the guard, reload_guard with the line: allow %s; or, to turn it off, reload_guard off with the line: allow %s",
		a.Guarded, a.Off)
}

// page is Advice as it stands in a Caddyfile.
func (a Allow) page() string {
	const load = "To load the new one where reload_guard is on, write into its "
	if a.Off == "" {
		return load + "reload_guard: allow " + a.Guarded + "\n"
	}
	return fmt.Sprintf(load+"option tollgate, to keep the guard:\n\n\treload_guard {\n\t\tallow %s\n\t}\n\nor, to turn it off:\n\n\treload_guard off {\n\t\tallow %s\n\t}\n",
		a.Guarded, a.Off)
}
