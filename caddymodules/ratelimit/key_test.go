package ratelimit

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	repl := caddy.NewEmptyReplacer()
	for name, value := range map[string]string{"a": "1", "b": "23", "c": "12", "d": "3", "empty": "", "env.NODE": "n",
		"client_ip": "2001:db8::1", "http.auth.user.id": "2001:db8::1"} {
		repl.Set(name, value)
	}
	for _, tt := range []struct {
		key, want string
		full      bool
	}{
		{"static", "static", true},
		{"{a}", "1", true},
		{"user-{a}", "user-1", true},
		{"{a}{b}", "1:12:23", true},
		{"{c}{d}", "2:121:3", true}, // the same values run together, and another key
		{"{client_ip}", "2001:db8::/64", true},
		{"{a}-{client_ip}", "1:1-13:2001:db8::/64", true},
		{"{http.auth.user.id}", "2001:db8::1", true}, // a name, whatever it looks like
		{"{empty}", "", false},
		{"{unknown}", "", false},
		{"user-{empty}", "user-", false},
		{"{a}/{empty}", "1:1/0:", false},
		{`\{a\}`, "{a}", true},
		{"x{env.NODE}y", "xny", true},
		{"{env.NODE}{a}", "n1", true},
	} {
		parsed, err := parseTemplate(tt.key)
		if err != nil {
			t.Errorf("%s: %v", tt.key, err)
			continue
		}
		resolved, err := parsed.resolve(repl)
		if err != nil {
			t.Errorf("%s: %v", tt.key, err)
			continue
		}
		if got, full := resolved.fill(repl, networks{v4: 32, v6: 64}); got != tt.want || full != tt.full {
			t.Errorf("%s gives %q, %v, want %q, %v", tt.key, got, full, tt.want, tt.full)
		}
	}
	for _, key := range []string{"{", "{a", "{}", "{a b}", "x{a{b}"} {
		if parsed, err := parseTemplate(key); err == nil {
			t.Errorf("%s is accepted as %v", key, parsed)
		}
	}
}
