package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// manifest is DIR/demo.json: what a script or test needs to attach to a running
// demo. It is there while the demo is ready, and holds secrets: mode 0600.
type manifest struct {
	BaseURL    string   `json:"base_url"`
	Issuer     string   `json:"issuer"`
	CACert     string   `json:"ca_cert"` // path of the PEM file to trust
	MetricsURL string   `json:"metrics_url"`
	AdminURL   string   `json:"admin_url"`
	ShopURL    string   `json:"shop_url"`
	Users      []user   `json:"users"`
	Clients    []client `json:"clients"`
}

type user struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// client is what `auth client add` prints.
type client struct {
	ClientID     string          `json:"client_id"`
	AuthMethod   string          `json:"auth_method"`
	ClientSecret string          `json:"client_secret,omitempty"`
	JWK          json.RawMessage `json:"jwk,omitempty"` // private
	Scopes       []string        `json:"scopes"`
	GrantTypes   []string        `json:"grant_types"`
	RedirectURIs []string        `json:"redirect_uris"`
}

// client finds one of the registered clients by its id.
func (m *manifest) client(id string) client {
	for _, c := range m.Clients {
		if c.ClientID == id {
			return c
		}
	}
	return client{}
}

func manifestPath(dir string) string { return filepath.Join(dir, "demo.json") }

// environmentPath is DIR/edge.env: for a shell, what the edge's Caddyfile takes from the
// environment. There as long as demo.json is, and as secret: Redis may have a password.
func environmentPath(dir string) string { return filepath.Join(dir, "edge.env") }

// removeManifest says that no demo is ready here.
func removeManifest(dir string) error {
	for _, path := range []string{manifestPath(dir), environmentPath(dir)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writeEnvironment writes the variables that are Tollgate's.
func writeEnvironment(dir string, environment []string) error {
	var b strings.Builder
	for _, setting := range environment {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "TOLLGATE_") {
			fmt.Fprintf(&b, "export %s=%s\n", name, shellQuote(value))
		}
	}
	return replaceFile(environmentPath(dir), []byte(b.String()))
}

func (m *manifest) write(dir string) error {
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(manifestPath(dir), append(content, '\n'))
}

// passwords are those of the users, by name. They stay the same for a data
// folder, so that what somebody wrote down goes on working.
type passwords map[string]string

// loadPasswords reads what an earlier run on this folder chose, and adds what is missing.
func loadPasswords(dir string, usernames ...string) (passwords, error) {
	path := filepath.Join(dir, "passwords.json")
	known := make(passwords)
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &known)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("data folder: %s: %w", path, err)
	}
	for _, name := range usernames {
		if known[name] == "" {
			known[name] = newPassword()
		}
	}
	if content, err = json.Marshal(known); err != nil {
		return nil, err
	}
	return known, replaceFile(path, content)
}

// newPassword is easy to type and hard to guess: 100 bits in five groups.
func newPassword() string {
	text := strings.ToLower(rand.Text())[:20]
	return strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:16], text[16:]}, "-")
}
