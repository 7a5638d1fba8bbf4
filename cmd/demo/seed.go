package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// seeder fills the stores with the operator's own commands, before the services start.
type seeder struct {
	opts  options
	ports ports
}

// database is where a service keeps its tables.
func (o options) database(service string) string {
	if o.postgres != "" {
		return o.postgres
	}
	return filepath.Join(o.data, service+".db")
}

// serviceEnv tells a service where its state is. A DSN may hold a password, and
// the arguments of a process are there for all users of a machine to read.
func (o options) serviceEnv(service string) []string {
	prefix := strings.ToUpper(service)
	env := []string{
		prefix + "_DATABASE=" + o.database(service),
		prefix + "_SECRET_FILE=" + filepath.Join(o.data, service+".key"),
	}
	if service == "auth" && o.redis != "" {
		env = append(env, "AUTH_REDIS="+o.redis) // where the edge hears of revocations
	}
	return env
}

func (s seeder) run(ctx context.Context, stdin, program string, result any, args ...string) error {
	out, err := oneShot(ctx, stdin, s.opts.serviceEnv(program), filepath.Join(s.opts.bin, program), args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("%s %s: its output: %w", program, args[0], err)
	}
	return nil
}

// usersSecret is the file with which the users service proves who it is.
func (o options) usersSecret() string { return filepath.Join(o.data, "users.secret") }

// seedUsersService registers the users service at the authorization server: it asks
// that one for a user's grants, and payments for open money.
func (s seeder) seedUsersService(ctx context.Context) error {
	var c client
	err := s.run(ctx, "", "auth", &c, "client", "add", "--replace", "--id", "users-service", "--name", "Users service",
		"--kind", "standard", "--grant", "client_credentials", "--scope", "internal:grants", "--scope", "internal:customers")
	if err != nil {
		return err
	}
	return replaceFile(s.opts.usersSecret(), []byte(c.ClientSecret+"\n"))
}

// seedUsers makes two users with a euro wallet each.
func (s seeder) seedUsers(ctx context.Context) ([]user, error) {
	chosen, err := loadPasswords(s.opts.data, "alice", "bob")
	if err != nil {
		return nil, err
	}
	var users []user
	for _, name := range []string{"Alice Archer", "Bob Baker"} {
		first, _, _ := strings.Cut(name, " ")
		username := strings.ToLower(first)
		u := user{Username: username, Password: chosen[username]}
		err := s.run(ctx, u.Password, "users", &u, "add", "--replace", "--username", username,
			"--name", name, "--email", username+"@example.com", "--password-file", "-")
		if err != nil {
			return nil, err
		}
		var account any
		err = s.run(ctx, "", "payments", &account, "account", "open", "--owner", u.ID,
			"--name", "Everyday", "--currency", "EUR", "--deposit", "250000")
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// The clients of the demo. shop is the example shop; the other two are for
// trying and testing: a plain one for client credentials, and a FAPI 2.0 one.
const (
	shopClient    = "shop"
	serviceClient = "demo-service"
	fapiClient    = "demo-fapi"
)

// clientArgs are the registrations as an operator would type them.
func (s seeder) clientArgs() [][]string {
	shopURL := fmt.Sprintf("http://localhost:%d", s.ports.shop)
	return [][]string{
		{"--id", shopClient, "--name", "Corner Shop", "--kind", "standard",
			"--redirect-uri", shopURL + "/callback",
			"--grant", "authorization_code", "--grant", "client_credentials",
			"--scope", "payments:create", "--scope", "payments:read", "--scope", "payments:confirm",
			"--scope", "payments:capture", "--scope", "payments:refund", "--scope", "webhooks:read"},
		{"--id", serviceClient, "--name", "Demo Service", "--kind", "standard",
			"--grant", "client_credentials",
			"--scope", "payments:create", "--scope", "payments:read", "--scope", "users:create",
			"--scope", "risk:read", "--scope", "risk:write", "--scope", "webhooks:read", "--scope", "webhooks:write"},
		{"--id", fapiClient, "--name", "Demo Finance App", "--kind", "fapi2", "--generate-key",
			"--redirect-uri", "https://app.example/callback",
			"--grant", "authorization_code", "--grant", "refresh_token", "--grant", "client_credentials",
			"--scope", "openid", "--scope", "profile:read", "--scope", "profile:write",
			"--scope", "profile:export", "--scope", "profile:delete", "--scope", "password:write",
			"--scope", "consents:read", "--scope", "consents:write",
			"--scope", "accounts:read", "--scope", "accounts:write",
			"--scope", "payments:create", "--scope", "payments:read", "--scope", "payments:confirm"},
	}
}

// seedClients registers the clients, each with an account to be paid into.
func (s seeder) seedClients(ctx context.Context) ([]client, error) {
	var clients []client
	for _, args := range s.clientArgs() {
		var c client
		if err := s.run(ctx, "", "auth", &c, append([]string{"client", "add", "--replace"}, args...)...); err != nil {
			return nil, err
		}
		var merchant any
		err := s.run(ctx, "", "payments", &merchant, "merchant", "add",
			"--client", c.ClientID, "--name", args[3], "--currency", "EUR")
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// seedWebhook gives the secret that signs what the shop is told.
func (s seeder) seedWebhook(ctx context.Context) (secret string, err error) {
	var endpoint struct{ Secret string }
	err = s.run(ctx, "", "payments", &endpoint, "webhook", "add", "--replace",
		"--client", shopClient, "--url", fmt.Sprintf("http://localhost:%d/webhooks", s.ports.shop))
	return endpoint.Secret, err
}
