package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/idna"

	"github.com/open-tollgate/tollgate/internal/policy"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain METHOD URL [--config FILE] [--claims FILE] [--dpop] [--certificate] [--address IP] [--header 'NAME: VALUE']...",
		Short: "Tells what the edge does with one request, step by step",
		Long: `
--claims is a JSON file with the claims of an access token, "-" for standard input; no
signature is needed, it is taken for good. Its algorithm is ES256, or what --alg says;
--alg opaque is a token that the issuer is asked about. A token with cnf is sent with its
proof where --dpop or --certificate is there. Exit code 2: could not run.`,
		Args: exactly(2),
	}
	config, files := configFlag(cmd), newSource(cmd)
	claims := cmd.Flags().String("claims", "", "File with the claims of the token; none: no token")
	algorithm := cmd.Flags().String("alg", "ES256", "What the token is signed with")
	dpop := cmd.Flags().Bool("dpop", false, "The token is sent with a good DPoP proof")
	certificate := cmd.Flags().Bool("certificate", false, "The client shows its certificate")
	address := cmd.Flags().String("address", "127.0.0.1", "Address of the client")
	headers := cmd.Flags().StringArray("header", nil, "A header field of the request")
	asJSON := cmd.Flags().Bool("json", false, "Answer in JSON")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, port, err := parseRequest(args[0], args[1], *address, *headers)
		if err == nil {
			err = checkAlgorithm(*algorithm)
		}
		if err == nil && *claims != "" {
			r.Token, err = readClaims(*claims, *algorithm)
		}
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("policy explain: %w", err))
		}
		c, err := files.load(*config)
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("policy explain: %w", err))
		}
		r.SentAs, r.HasCert = policy.Bearer, *certificate
		if *dpop {
			r.SentAs = policy.DPoP
		}
		e := explanation(c, r, port)
		if e.Outcomes == nil {
			return exit(cmd, 2, errors.New("policy explain: no server of the configuration answers that scheme or port"))
		}
		if e.URL = args[1]; *asJSON {
			return writeJSON(cmd.OutOrStdout(), e)
		}
		return e.WriteText(cmd.OutOrStdout())
	}
	return cmd
}

// explanation has what each server does that can get the request.
func explanation(c *policy.Config, r policy.Request, port string) policy.Explanation {
	e := policy.Explanation{Method: r.Method}
	for _, server := range c.ServersFor(r.TLS, port) {
		e.Outcomes = append(e.Outcomes, c.Evaluate(server, r, &policy.Judge{Now: time.Now()})...)
	}
	for n := range e.Outcomes {
		e.Outcomes[n].May = c.MayAlso(&e.Outcomes[n])
	}
	return e
}

// opaque is the algorithm of a token that has none.
const opaque = "opaque"

// algorithms are those of JSON Web Signatures (RFC 7518, 3.1; RFC 8037; RFC 8812; RFC 9864),
// most of which no edge takes.
var algorithms = []string{
	"ES256", "PS256", "EdDSA", "RS256", opaque, "ES384", "ES512", "PS384", "PS512", "RS384", "RS512", "HS256", "HS384", "HS512", "ES256K", "Ed25519", "Ed448", "none",
}

func checkAlgorithm(name string) error {
	if !slices.Contains(algorithms, name) {
		return fmt.Errorf("--alg %q is no algorithm of a token: want %s", name, strings.Join(algorithms, ", "))
	}
	return nil
}

func parseRequest(method, target, address string, headers []string) (r policy.Request, port string, err error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return r, "", fmt.Errorf("%q is not an http or https URL", target)
	}
	host, err := idna.ToASCII(u.Hostname()) // as it is sent
	if err != nil {
		return r, "", fmt.Errorf("%q: %w", target, err)
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return r, "", fmt.Errorf("address %q: %w", address, err)
	}
	_, rest, _ := strings.Cut(target, "://") // as it is written: a path that is not canonical is no other
	path := "/"
	if n := strings.IndexAny(rest, "/?"); n >= 0 {
		path = rest[n:]
	}
	if path, _, _ = strings.Cut(path, "#"); !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	r = policy.Request{Method: method, Host: withPort(host, u), Target: path, TLS: u.Scheme == "https", Header: make(http.Header), Remote: ip}
	for _, line := range headers {
		name, value, found := strings.Cut(line, ":")
		if !found {
			return r, "", fmt.Errorf("header %q is not NAME: VALUE", line)
		}
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r, u.Port(), nil
}

// withPort is the Host that a client sends for a URL: it leaves out the port of the scheme.
func withPort(host string, u *url.URL) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host += ":" + port
	}
	return host
}

func readClaims(file, algorithm string) (*policy.Token, error) {
	var content []byte
	var err error
	if file == "-" {
		content, err = io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := json.Unmarshal(content, &claims); err != nil {
		return nil, fmt.Errorf("claims of %s: %w", file, err)
	}
	if algorithm == opaque {
		algorithm = ""
	}
	return policy.NewToken(claims, algorithm), nil
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// decodeYAML is strict: a word that means nothing is a mistake, and so is what nobody reads.
func decodeYAML(r io.Reader, into any) error {
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("yaml: more than one document")
	}
	return nil
}
