package main

import (
	"fmt"
	"path/filepath"
)

// steps are the platform's processes, each after those it needs.
func steps(o options, p ports, m *manifest, webhookSecret string) []step {
	authURL := "http://" + loopback(p.auth)
	audience := m.Issuer + "/api"
	proc := func(name string, env []string, args ...string) process {
		return process{name: name, args: args, env: env, bin: o.bin, log: filepath.Join(o.data, "logs", name+".log")}
	}
	ready := func(port int, path string) string { return "http://" + loopback(port) + path }

	return []step{
		{ready: ready(p.auth, "/readyz"), process: proc("auth", o.serviceEnv("auth"), "serve",
			"--listen", loopback(p.auth),
			"--issuer", m.Issuer, "--audience", audience,
			"--users-url", "http://"+loopback(p.users), "--payments-url", "http://"+loopback(p.payments))},
		{ready: ready(p.users, "/readyz"), process: proc("users", o.serviceEnv("users"), "serve",
			"--listen", loopback(p.users),
			"--issuer", m.Issuer, "--jwks-url", jwksURL(p), "--audience", audience,
			"--auth-url", authURL, "--payments-url", "http://"+loopback(p.payments), "--client-secret-file", o.usersSecret())},
		{ready: ready(p.payments, "/readyz"), process: proc("payments", o.serviceEnv("payments"), "serve",
			"--listen", loopback(p.payments),
			"--issuer", m.Issuer, "--jwks-url", jwksURL(p), "--audience", audience,
			"--webhook-allow-private")}, // the shop is on loopback
		{ready: m.BaseURL + "/.well-known/oauth-authorization-server", caCert: m.CACert,
			process: proc("tollgate", edgeEnv(o, p, m), "run", "--config", o.caddyfile, "--adapter", "caddyfile")},
		{ready: m.ShopURL + "/healthz", process: proc("shop",
			[]string{
				"SHOP_CLIENT_SECRET=" + m.client(shopClient).ClientSecret,
				"SHOP_WEBHOOK_SECRET=" + webhookSecret,
			},
			"--listen", loopback(p.shop), "--public-url", m.ShopURL, "--tollgate", m.BaseURL,
			"--ca-cert", m.CACert, "--client-id", shopClient)},
	}
}

// jwksURL is where the keys are, from inside.
func jwksURL(p ports) string { return "http://" + loopback(p.auth) + "/oauth/jwks" }

// edgeEnv fills in what the shipped Caddyfile takes from its environment.
func edgeEnv(o options, p ports, m *manifest) []string {
	redis := o.redis
	if redis == "" {
		redis = "off"
	}
	return []string{
		"TOLLGATE_HOST=localhost",
		fmt.Sprintf("TOLLGATE_PORT=%d", p.edge),
		"TOLLGATE_ORIGIN=" + m.BaseURL,
		fmt.Sprintf("TOLLGATE_ADMIN=localhost:%d", p.admin),
		"TOLLGATE_REDIS=" + redis,
		"TOLLGATE_AUDIT=" + filepath.Join(o.data, "audit"),
		"TOLLGATE_AUTH=" + loopback(p.auth),
		"TOLLGATE_USERS=" + loopback(p.users),
		"TOLLGATE_PAYMENTS=" + loopback(p.payments),
		"TOLLGATE_JWKS_URI=" + jwksURL(p),
		// Certificates, their authority and the autosaved configuration stay in the data folder.
		"XDG_DATA_HOME=" + o.data,
		"XDG_CONFIG_HOME=" + o.data,
		"TOLLGATE_BIND=127.0.0.1", // whatever the shell says: a demo's passwords are no protection
	}
}
