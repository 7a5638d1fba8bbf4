package policy

import (
	"encoding/json"
	"maps"
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

// defaultRemote is where remote administration listens if nobody says where.
const defaultRemote = ":2021"

// Admin is Caddy's own API, which can change everything. It has all members that Caddy's
// has, so that none is passed over.
//
// A list that is empty lets nobody in, and one that is left out may let all in, so the two
// are not one.
type Admin struct {
	Disabled      bool           `json:"disabled,omitempty"`
	Listen        string         `json:"listen,omitempty"`
	EnforceOrigin bool           `json:"enforce_origin,omitempty"`
	Origins       []string       `json:"origins"`
	Config        *AdminSource   `json:"config,omitempty"`
	Identity      *AdminIdentity `json:"identity,omitempty"`
	Remote        *RemoteAdmin   `json:"remote,omitempty"`
}

// AdminSource is where configurations are kept, and loaded from.
type AdminSource struct {
	Persist   *bool    `json:"persist,omitempty"`
	Load      any      `json:"load"`
	LoadDelay Duration `json:"load_delay,omitempty"`
}

// AdminIdentity is what the edge shows to who administers it from elsewhere.
type AdminIdentity struct {
	Identifiers []string `json:"identifiers"`
	Issuers     []any    `json:"issuers"`
}

// RemoteAdmin is the admin API for elsewhere. It listens whether the other one does or not.
type RemoteAdmin struct {
	Listen string        `json:"listen,omitempty"`
	Access []AdminAccess `json:"access_control"`
}

// AdminAccess is who may administer, and what.
type AdminAccess struct {
	PublicKeys  []string           `json:"public_keys"`
	Permissions []AdminPermissions `json:"permissions"`
}

// AdminPermissions are what somebody may administer.
type AdminPermissions struct {
	Paths   []string `json:"paths"`
	Methods []string `json:"methods"`
}

// where is the address that the admin API has; none where it is off.
func (a *Admin) where() string {
	switch {
	case a.Disabled:
		return "off"
	case a.Listen == "":
		return defaultAdmin()
	default:
		return a.Listen
	}
}

// tree has defaults in place of nothing, and nothing in place of what has no effect.
func (a Admin) tree() any {
	if a.Disabled {
		a.Listen, a.Origins, a.EnforceOrigin = "", nil, false
	} else {
		a.Listen = a.where()
	}
	if a.Config != nil {
		source := *a.Config
		if source.Persist != nil && *source.Persist {
			source.Persist = nil
		}
		if a.Config = &source; source.Persist == nil && source.Load == nil && source.LoadDelay == 0 {
			a.Config = nil
		}
	}
	if a.Remote != nil && a.Remote.Listen == "" {
		remote := *a.Remote
		remote.Listen = defaultRemote
		a.Remote = &remote
	}
	var members map[string]any
	text, err := json.Marshal(a)
	if err == nil {
		err = json.Unmarshal(text, &members)
	}
	if err != nil {
		return err.Error() // of texts, numbers and lists: there is none
	}
	return withoutNull(members)
}

// withoutNull takes members away that are null, which is to leave them out.
func withoutNull(value any) any {
	switch value := value.(type) {
	case map[string]any:
		maps.DeleteFunc(value, func(_ string, member any) bool { return withoutNull(member) == nil })
	case []any:
		for _, element := range value {
			withoutNull(element)
		}
	}
	return value
}

// loader is what fetches another configuration while this one runs.
func (a *Admin) loader() any {
	if a.Config == nil {
		return nil
	}
	return a.Config.Load
}
