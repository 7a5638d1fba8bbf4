package policy

import (
	"slices"
	"time"
)

// Settings are those of the tollgate app.
type Settings struct {
	Redis             string             `json:"redis"`
	Origins           []string           `json:"origins"`
	Issuers           []*Issuer          `json:"issuers"`
	ClientCertificate *ClientCertificate `json:"client_certificate"`
	DPoP              *struct {
		NonceKey string `json:"nonce_key"`
	} `json:"dpop"`
	Revocations *struct {
		Stale string `json:"stale"`
	} `json:"revocations"`
	Audit *struct {
		Dir string `json:"dir"`
	} `json:"audit"`
	Failures *struct {
		Off bool `json:"off"`
	} `json:"failures"`
	Guard *Guard `json:"reload_guard"`
}

// Guard is whether a wider policy can be loaded unnamed.
type Guard struct {
	Off   bool     `json:"off"`
	Allow []string `json:"allow"` // hashes of policies that may be wider
	// AllowMoved says that requests may go elsewhere unnamed.
	AllowMoved bool   `json:"allow_moved"`
	Baseline   string `json:"baseline"` // file with the hash that a process may start with
}

// On says whether it is there.
func (g *Guard) On() bool { return g != nil && !g.Off }

// Names says whether a policy may be wider than what runs.
func (g *Guard) Names(hash string) bool { return g != nil && slices.Contains(g.Allow, hash) }

// Issuer is one whose tokens are accepted.
type Issuer struct {
	URL           string   `json:"url"`
	Audiences     []string `json:"audiences"`
	Algorithms    []string `json:"algorithms"`
	JWKSURI       string   `json:"jwks_uri"`
	JWKSFile      string   `json:"jwks_file"`
	Leeway        Duration `json:"leeway"`
	Profile       string   `json:"profile"`
	Introspection *struct {
		Endpoint string `json:"endpoint"`
	} `json:"introspection"`
}

// ClientCertificate is how proxies in front hand certificates on.
type ClientCertificate struct {
	Header  string   `json:"header"`
	Proxies []string `json:"proxies"`
}

// defaultAlgorithms are those of an issuer that names none.
var defaultAlgorithms = []string{"ES256", "PS256", "EdDSA"}

// fapi2 is the profile whose tokens are all bound to their sender.
const fapi2 = "fapi2"

// HasDPoP says whether proofs are possible at all.
func (s *Settings) HasDPoP() bool { return len(s.Origins) > 0 }

// HasRedis says whether edge nodes count together.
func (s *Settings) HasRedis() bool { return s.Redis != "" && s.Redis != "off" }

// Trust is whose tokens an access_token takes: of one issuer, for these audiences.
type Trust struct {
	Issuer     string   `json:"issuer"`
	Audiences  []string `json:"audiences"`
	Algorithms []string `json:"algorithms,omitempty"` // of JWTs; none: the issuer is asked
	Opaque     bool     `json:"opaque,omitempty"`     // tokens that the issuer is asked about
	Bound      bool     `json:"bound,omitempty"`      // bound tokens alone, as the profile fapi2 wants

	leeway time.Duration // after their end: compared as a setting
}

// select gives whose tokens are taken, as the app's Select does.
func (s *Settings) selected(issuers, audiences []string, profile string) []Trust {
	var all []Trust
	for _, i := range s.Issuers {
		if len(issuers) > 0 && !slices.Contains(issuers, i.URL) {
			continue
		}
		t := Trust{Issuer: i.URL, Audiences: i.Audiences, Opaque: i.Introspection != nil, Bound: i.Profile == fapi2 || profile == fapi2, leeway: time.Duration(i.Leeway)}
		if len(audiences) > 0 {
			t.Audiences = slices.DeleteFunc(slices.Clone(i.Audiences), func(a string) bool { return !slices.Contains(audiences, a) })
		}
		if i.JWKSURI != "off" {
			t.Algorithms = i.Algorithms
			if len(t.Algorithms) == 0 {
				t.Algorithms = defaultAlgorithms
			}
		}
		if len(t.Audiences) > 0 {
			all = append(all, t)
		}
	}
	return all
}

// Duration is one of Caddy's: nanoseconds, or a text.
type Duration time.Duration

// UnmarshalJSON reads both forms.
func (d *Duration) UnmarshalJSON(text []byte) error {
	value, err := parseDuration(text)
	*d = Duration(value)
	return err
}

// Preferred is the algorithm of the issuer's JWTs that is first choice here: ES256 where
// it may be. Empty: it issues none.
func (i *Issuer) Preferred() string {
	algorithms := i.Algorithms
	switch {
	case i.JWKSURI == "off":
		return ""
	case len(algorithms) == 0 || slices.Contains(algorithms, defaultAlgorithms[0]):
		return defaultAlgorithms[0]
	default:
		return algorithms[0]
	}
}
