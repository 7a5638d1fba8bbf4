package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
)

// config is what the shop has to be told. The first two secrets come from the
// environment or from files, never from the command line, which every user of
// the machine can read.
type config struct {
	ClientSecret  string
	WebhookSecret string

	Listen    string
	PublicURL *url.URL
	Tollgate  *url.URL
	CACert    string
	ClientID  string
	Currency  string
}

// parseConfig reads flags; each takes its default from the environment.
func parseConfig(args []string, getenv func(string) string, usage io.Writer) (config, error) {
	env := func(name, fallback string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return fallback
	}
	var cfg config
	var publicURL, tollgate, clientSecretFile, webhookSecretFile string
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&cfg.Listen, "listen", env("SHOP_LISTEN", "127.0.0.1:8090"), "`address` to listen on (SHOP_LISTEN)")
	flags.StringVar(&publicURL, "public-url", env("SHOP_PUBLIC_URL", "http://localhost:8090"), "`URL` under which browsers see the shop (SHOP_PUBLIC_URL)")
	flags.StringVar(&tollgate, "tollgate", env("SHOP_TOLLGATE", "https://localhost:8443"), "base `URL` of Tollgate, which is also its issuer (SHOP_TOLLGATE)")
	flags.StringVar(&cfg.CACert, "ca-cert", env("SHOP_CA_CERT", ""), "PEM `file` with a certificate authority to trust besides the system's (SHOP_CA_CERT)")
	flags.StringVar(&cfg.ClientID, "client-id", env("SHOP_CLIENT_ID", ""), "the shop's client `id` at Tollgate (SHOP_CLIENT_ID)")
	flags.StringVar(&clientSecretFile, "client-secret-file", env("SHOP_CLIENT_SECRET_FILE", ""), "`file` with the client secret, if SHOP_CLIENT_SECRET is not set")
	flags.StringVar(&webhookSecretFile, "webhook-secret-file", env("SHOP_WEBHOOK_SECRET_FILE", ""), "`file` with the webhook secret (whsec_...), if SHOP_WEBHOOK_SECRET is not set")
	flags.StringVar(&cfg.Currency, "currency", env("SHOP_CURRENCY", "EUR"), "`currency` of the prices: "+strings.Join(currencies(), ", ")+" (SHOP_CURRENCY)")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var errs [4]error
	cfg.PublicURL, errs[0] = parseOrigin("--public-url", publicURL)
	cfg.Tollgate, errs[1] = parseOrigin("--tollgate", tollgate)
	cfg.ClientSecret, errs[2] = readSecret("client", getenv("SHOP_CLIENT_SECRET"), clientSecretFile)
	cfg.WebhookSecret, errs[3] = readSecret("webhook", getenv("SHOP_WEBHOOK_SECRET"), webhookSecretFile)
	return cfg, errors.Join(errors.Join(errs[:]...), cfg.check())
}

func (c config) check() error {
	if c.ClientID == "" {
		return errors.New("--client-id is missing")
	}
	if _, known := currencySymbols[c.Currency]; !known {
		return fmt.Errorf("--currency %q is not one of %s", c.Currency, strings.Join(currencies(), ", "))
	}
	return nil
}

// readSecret takes the value of the environment, or else the content of the file.
func readSecret(name, value, file string) (string, error) {
	if value == "" && file == "" {
		return "", fmt.Errorf("the %[1]s secret is missing: set SHOP_%[2]s_SECRET or --%[1]s-secret-file", name, strings.ToUpper(name))
	}
	if value != "" {
		return value, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the %s secret: %w", name, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// parseOrigin accepts a scheme and a host and nothing behind them. Plain http is
// for this machine only: tokens and codes travel in these requests.
func parseOrigin(flagName, raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(raw, "/"))
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%s %q is not an origin such as https://shop.example.com", flagName, raw)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return u, nil
	}
	return nil, fmt.Errorf("%s %q has to begin with https://, or be on localhost", flagName, raw)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
