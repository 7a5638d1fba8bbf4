package auth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

func TestRegistrations(t *testing.T) {
	t.Parallel()
	public, err := newKey(t).PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Set(jwk.KeyIDKey, "k"); err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	private, err := json.Marshal(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }
	valid := func() Registration {
		return Registration{ID: "shop", Name: "Corner Shop", Kind: "standard", Scopes: []string{"payments:read"},
			GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://shop.example/cb"}}
	}
	fapi := func(r *Registration, jwks []byte) { r.Kind, r.JWKS = "fapi2", jwks }
	for name, c := range map[string]struct {
		edit  func(*Registration)
		wants string // part of the error; empty: it is taken
	}{
		"valid":                {func(*Registration) {}, ""},
		"loopback":             {func(r *Registration) { r.RedirectURIs = []string{"http://localhost:8090/cb", "http://127.0.0.1/cb"} }, ""},
		"with a query":         {func(r *Registration) { r.RedirectURIs = []string{"https://shop.example/cb?x=1"} }, ""},
		"own keys":             {func(r *Registration) { fapi(r, set(string(key))) }, ""},
		"no id":                {func(r *Registration) { r.ID = "" }, "id:"},
		"id with a colon":      {func(r *Registration) { r.ID = "a:b" }, "id:"},
		"id of a user":         {func(r *Registration) { r.ID = aliceID }, "id:"},
		"id of a service":      {func(r *Registration) { r.ID = "tollgate-auth" }, "id:"},
		"id of a service 2":    {func(r *Registration) { r.ID = "Tollgate-users" }, "id:"},
		"no name":              {func(r *Registration) { r.Name = "" }, "name:"},
		"name turned":          {func(r *Registration) { r.Name = "a\u202eb" }, "name:"},
		"name with spaces":     {func(r *Registration) { r.Name = " Shop" }, "name:"},
		"long name":            {func(r *Registration) { r.Name = strings.Repeat("x", 100) }, "name:"},
		"unknown kind":         {func(r *Registration) { r.Kind = "public" }, "kind:"},
		"internal scope":       {func(r *Registration) { r.Scopes = []string{"internal:users"} }, "internal:users"},
		"unknown scope":        {func(r *Registration) { r.Scopes = []string{"payments:read", "admin"} }, "admin"},
		"no scope":             {func(r *Registration) { r.Scopes = nil }, "scope:"},
		"scope of no use":      {func(r *Registration) { r.Scopes = []string{"payments:create"} }, "payments:create"},
		"unknown grant":        {func(r *Registration) { r.GrantTypes = []string{"password"} }, "password"},
		"no grant":             {func(r *Registration) { r.GrantTypes = nil }, "grant:"},
		"refresh alone":        {func(r *Registration) { r.GrantTypes = []string{"refresh_token"} }, "refresh_token"},
		"code, no redirect":    {func(r *Registration) { r.RedirectURIs = nil }, "redirect-uri"},
		"redirect, no code":    {func(r *Registration) { r.GrantTypes = []string{"client_credentials"} }, "redirect-uri"},
		"http redirect":        {func(r *Registration) { r.RedirectURIs = []string{"http://shop.example/cb"} }, "https"},
		"fragment":             {func(r *Registration) { r.RedirectURIs = []string{"https://shop.example/cb#x"} }, "fragment"},
		"empty fragment":       {func(r *Registration) { r.RedirectURIs = []string{"https://shop.example/cb#"} }, "fragment"},
		"user in it":           {func(r *Registration) { r.RedirectURIs = []string{"https://a@shop.example/cb"} }, "user"},
		"own scheme":           {func(r *Registration) { r.RedirectURIs = []string{"myapp://cb"} }, "https"},
		"relative":             {func(r *Registration) { r.RedirectURIs = []string{"/cb"} }, "absolute"},
		"script":               {func(r *Registration) { r.RedirectURIs = []string{"javascript:alert(1)"} }, "absolute"},
		"wildcard":             {func(r *Registration) { r.RedirectURIs = []string{"https://*.shop.example/cb"} }, "spelling"},
		"ends a directive":     {func(r *Registration) { r.RedirectURIs = []string{"https://shop.example;x/cb"} }, "redirect-uri"},
		"another spelling":     {func(r *Registration) { r.RedirectURIs = []string{"HTTPS://shop.example/cb"} }, "spelling"},
		"IPv6":                 {func(r *Registration) { r.RedirectURIs = []string{"http://[::1]/cb"} }, "spelling"},
		"loopback lookalike":   {func(r *Registration) { r.RedirectURIs = []string{"http://localhost.evil.example/cb"} }, "https"},
		"standard with keys":   {func(r *Registration) { r.JWKS = set(string(key)) }, "kind standard"},
		"standard, key made":   {func(r *Registration) { r.GenerateKey = true }, "kind standard"},
		"fapi2 without keys":   {func(r *Registration) { fapi(r, nil) }, "needs either"},
		"fapi2 with two sorts": {func(r *Registration) { fapi(r, set(string(key))); r.GenerateKey = true }, "needs either"},
		"private key":          {func(r *Registration) { fapi(r, set(string(private))) }, "jwks"},
		"no keys":              {func(r *Registration) { fapi(r, set()) }, "jwks"},
		"same kid twice":       {func(r *Registration) { fapi(r, set(string(key), string(key))) }, "kid"},
		"symmetric key":        {func(r *Registration) { fapi(r, set(`{"kty":"oct","k":"AAAA","kid":"x"}`)) }, "jwks"},
		"no JSON":              {func(r *Registration) { fapi(r, []byte("x")) }, "jwks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := valid()
			c.edit(&r)
			err := r.check()
			if c.wants == "" && err != nil || c.wants != "" && (err == nil || !strings.Contains(err.Error(), c.wants)) {
				t.Errorf("got %v, want %q", err, c.wants)
			}
		})
	}
}

func TestReplacingAClientKeepsItsKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	_, err := w.server.registry.AddClient(t.Context(), Registration{ID: fapi.ClientID, Name: "x", Kind: "standard",
		Scopes: []string{"payments:create"}, GrantTypes: []string{"client_credentials"}, Replace: true})
	if err == nil || !strings.Contains(err.Error(), "--change-kind") {
		t.Errorf("got %v", err)
	}
	fapi.post(tokenPath, ownForm("payments:create")).ok(t)
}

func TestRegistryListsNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	w.fapi2()
	list, err := w.server.registry.Clients(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, c := range list {
		if c.ClientSecret != "" || c.JWK != nil {
			t.Errorf("%s: a secret is shown again", c.ClientID)
		}
	}
	if _, err := w.server.registry.AddClient(t.Context(), Registration{ID: "shop", Name: "x", Kind: "standard",
		Scopes: []string{"payments:create"}, GrantTypes: []string{"client_credentials"}}); err == nil {
		t.Error("a client was replaced without being asked to")
	}
	old := shop.ClientSecret
	shop.ClientSecret = w.app(Registration{ID: "shop", Kind: "standard", Replace: true}).ClientSecret
	shop.post(tokenPath, ownForm("payments:create")).ok(t)
	shop.ClientSecret = old
	shop.post(tokenPath, ownForm("payments:create")).wants(t, 401, "invalid_client")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	valid := func() Config {
		return Config{Issuer: "https://localhost:8443", UsersURL: "http://127.0.0.1:8082", PaymentsURL: "http://127.0.0.1:8083"}
	}
	for name, c := range map[string]struct {
		edit  func(*Config)
		wants string
	}{
		"valid":             {func(*Config) {}, ""},
		"http on loopback":  {func(c *Config) { c.Issuer = "http://127.0.0.1:8081" }, ""},
		"http elsewhere":    {func(c *Config) { c.Issuer = "http://auth.example.com" }, "https"},
		"a path":            {func(c *Config) { c.Issuer = "https://auth.example.com/x" }, "origin"},
		"a slash":           {func(c *Config) { c.Issuer = "https://auth.example.com/" }, "origin"},
		"a query":           {func(c *Config) { c.Issuer = "https://auth.example.com?x" }, "origin"},
		"upper case":        {func(c *Config) { c.Issuer = "https://Auth.example.com" }, "lower case"},
		"default port":      {func(c *Config) { c.Issuer = "https://auth.example.com:443" }, "default port"},
		"nothing":           {func(c *Config) { c.Issuer = "" }, "issuer"},
		"internal audience": {func(c *Config) { c.Audience = internalAudience }, "audience"},
		"no users":          {func(c *Config) { c.UsersURL = "" }, "users-url"},
		"no payments":       {func(c *Config) { c.PaymentsURL = "127.0.0.1:8083" }, "payments-url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := valid()
			c.edit(&cfg)
			got, err := cfg.complete()
			if c.wants == "" && (err != nil || got.Audience != cfg.Issuer+"/api") || c.wants != "" && (err == nil || !strings.Contains(err.Error(), c.wants)) {
				t.Errorf("got %v, want %q", err, c.wants)
			}
		})
	}
}
