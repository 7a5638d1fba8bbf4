package identity

// exact are whole names, prefixes the beginnings of names. They are what proxies,
// gateways, clouds and frameworks use for this, as far as no API has another use for it.
var (
	exact = set(
		"forwarded", // RFC 7239; Caddy speaks X-Forwarded-For, -Host and -Proto
		"x-forwarded",
		// The caller's address, which limits and logs go by.
		"fastly-client-ip", "proxy-client-ip", "true-client-ip", "x-azure-clientip", "x-azure-socketip",
		"x-cluster-client-ip", "x-proxyuser-ip", "x-real-ip",
		// Who it is, and what it may do.
		"remote-email", "remote-group", "remote-groups", "remote-name", "remote-user",
		"x-access-token", "x-anonymous-consumer", "x-email", "x-group", "x-groups", "x-id-token", "x-permission", "x-permissions",
		"x-role", "x-roles", "x-scope", "x-scopes", "x-sub", "x-subject",
		"x-arr-clientcert",
		// What was really meant.
		"x-method-override", "x-rewrite-url",
	)
	prefixes = []string{
		"cf-access-",
		"cf-connecting-",
		"client-cert", // RFC 9440: Client-Cert and Client-Cert-Chain
		"impersonate-",
		"oidc-",
		"ssl-client-",
		"tailscale-",
		"wl-proxy-",
		"x-amzn-mtls-",
		"x-amzn-oidc-",
		"x-appengine-user",
		"x-auth", // X-Auth-*, X-Authenticated-*, X-Authentik-*, X-Authorization
		"x-claim",
		"x-client-",
		"x-consumer-",
		"x-credential-",
		"x-envoy-",
		"x-forwarded-",
		"x-goog-authenticated-",
		"x-goog-iap-",
		"x-http-method",
		"x-identity",
		"x-jwt-",
		"x-ms-client-principal",
		"x-ms-token-",
		"x-mtls-",
		"x-original-",
		"x-pomerium-",
		"x-principal",
		"x-remote-",
		"x-ssl-",
		"x-tls-",
		"x-token-",
		"x-tollgate-",
		"x-user", // X-User, X-User-*, X-UserId, X-Username
		"x-vouch-",
		"x-webauth-",
	}
	// proxied are set by reverse_proxy itself, from the connection or from a trusted proxy.
	proxied = set("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
)

func set(names ...string) map[string]struct{} {
	all := make(map[string]struct{}, len(names))
	for _, name := range names {
		all[name] = struct{}{}
	}
	return all
}
