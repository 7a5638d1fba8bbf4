package policy

// sealedEdge has everything that would leave the process, and asks for DIAL wherever it can.
const sealedEdge = `
{
	admin DIAL
	log {
		output net DIAL {
			soft_start
		}
	}
	log more {
		output file DIR/edge.log
	}
	storage file_system DIR/storage
	servers {
		trusted_proxies static 203.0.113.0/24
		client_ip_headers X-Forwarded-For
	}
	tollgate {
		redis redis://DIAL
		origin https://api.test
		audit DIR/audit {
			syslog DIAL
			stdout
		}
		dpop {
			nonce_key {env.CASES_TEST_NOBODY_HAS_THIS}
		}
		issuer https://one.test {
			audience https://api.test
			jwks_uri http://DIAL/jwks
		}
		issuer https://two.test/tenant {
			audience https://api.test
			jwks_uri off
			introspection {
				client_id edge
				client_secret {env.CASES_TEST_NOBODY_HAS_THIS}
			}
		}
	}
}
(forward) {
	reverse_proxy DIAL {
		health_uri /healthy
		health_interval 1ms
		lb_try_duration 1s
		fail_duration 1m
	}
}
api.test, *.api.test {
	tracing {
		span edge
	}
	api money /money /money/* {
		audit required
		access_token
		@pay {
			method POST
			path /money/pay
		}
		require @pay {
			scope pay
			sender_constrained
		}
		require /money/strong {
			acr high
			max_age 1m
		}
		require /money/gold {
			claim tier gold
		}
		rate_limit {
			zone shadow {
				key {http.auth.client.id}
				events 2
				window 1m
				shadow
			}
			zone open {
				key {http.auth.client.id}
				events 5
				window 1m
				on_failure open
			}
			zone paced {
				kind gcra
				key {http.auth.user.id}
				events 600
				burst 4
				window 1m
			}
		}
		import forward
	}
	handle_path /strip/* {
		api stripped {
			public
			rate_limit {
				headers off
				zone quiet {
					key {client_ip}
					events 3
					window 1h
				}
			}
			@inner path /inner
			handle @inner {
				reverse_proxy {
					dynamic srv _http._tcp.DIALNAME
				}
			}
		}
	}
	handle /cut {
		abort
	}
	handle /acme/* {
		acme_server
	}
	handle /auth/* {
		forward_auth DIAL {
			uri /check
		}
		respond "in" 200
	}
	@host host *.api.test
	respond @host "wildcard" 203
}
mtls.test:9443 {
	tls {
		client_auth {
			mode require
		}
	}
	api cards {
		access_token {
			issuer https://one.test
		}
		require {
			mtls
		}
		import forward
	}
}
http://plain.test:8080 {
	respond "plain" 200
}
http://plain.test:8081, https://plain.test:8443 {
	api twice {
		public
		respond 204
	}
}
`

// sealedCases all pass.
const sealedCases = `
base: https://api.test
tokens:
  pay: {issuer: https://one.test, scope: pay, dpop: mine}
  read: {issuer: https://one.test, scope: read}
  opaque: {issuer: https://two.test/tenant, opaque: true, scope: pay}
cases:
  - name: a proof needs a nonce, and is good once
    steps:
      - request: {method: POST, url: /money/pay, token: pay}
        expect: {status: 401, reason: proof_nonce_wanted, type: use_dpop_nonce, forwarded: false}
      - request: {method: POST, url: /money/pay, token: pay}
        expect: {status: 200, api: money, forwarded: true}
      - request: {method: POST, url: /money/pay, token: pay, proof: again}
        expect: {status: 401, reason: proof_replayed}
      - request: {method: POST, url: /money/pay, token: pay, proof: {nonce: invented}}
        expect: {status: 401, reason: proof_nonce_wanted}
  - name: a token that is bound to nothing does not pay
    request: {method: POST, url: /money/pay, token: {issuer: https://one.test, scope: pay}}
    expect: {status: 401, reason: not_sender_constrained}
  - name: opaque tokens are asked about
    steps:
      - request: {url: /money, token: opaque}
        expect: {status: 200, forwarded: true}
      - request: {url: /money, token: {issuer: https://two.test/tenant, opaque: true, inactive: true}}
        expect: {status: 401, reason: inactive}
      - request: {url: /money, token: {issuer: https://two.test/tenant, opaque: true, audience: other}}
        expect: {status: 401, reason: wrong_audience}
      - wait: 6m
      - request: {url: /money, token: opaque}
        expect: {status: 401, reason: expired}
  - name: step-up
    steps:
      - request: {url: /money/strong, token: {issuer: https://one.test, acr: high, authenticated: 10s}}
        expect: {status: 200}
      - request: {url: /money/strong, token: {issuer: https://one.test, acr: low, authenticated: 10s}}
        expect: {status: 401, reason: insufficient_user_authentication, challenge: acr_values}
      - request: {url: /money/strong, token: {issuer: https://one.test, acr: high, authenticated: 2m}}
        expect: {status: 401, reason: insufficient_user_authentication}
      - request: {url: /money/gold, token: {issuer: https://one.test, claims: {tier: iron}}}
        expect: {status: 403, reason: claim_mismatch}
  - name: a shadow zone counts and refuses nobody
    steps:
      - request: {url: /money, token: read, repeat: 2}
        expect: {status: 200, remaining: {shadow: 0, open: 3, paced: 2}}
      - request: {url: /money, token: read, repeat: 2}
        expect: {status: 200, remaining: {shadow: 0, open: 1, paced: 0}}
      - request: {url: /money, token: read}
        expect: {status: 429, reason: quota_exceeded, remaining: {paced: 0}}
      - wait: 100ms
      - request: {url: /money, token: read}
        expect: {status: 200, remaining: {paced: 0, open: 0}}
      - request: {url: /money, token: {issuer: https://one.test, user: user-2}}
        expect: {status: 429, remaining: {paced: 4}}
  - name: after is as good as repeat
    steps:
      - request: {url: /money, token: read, after: 3}
        expect: {status: 200, remaining: {open: 1, paced: 0}}
  - name: limits that answers do not tell of
    steps:
      - request: {url: /strip/inner, repeat: 3}
        expect: {status: 200, api: stripped, upstream: http://(dynamic), remaining: {quiet: 0}, headers: {RateLimit: null}}
      - request: {url: /strip/inner}
        expect: {status: 429, api: stripped}
      - request: {url: /strip/inner, address: 203.0.113.9, headers: {X-Forwarded-For: 192.0.2.1}}
        expect: {status: 429}
      - request: {url: /strip/inner, address: 198.51.100.9, headers: {X-Forwarded-For: 192.0.2.1}}
        expect: {status: 200}
  - name: a connection that is cut
    request: {url: /cut}
    expect: {connection: aborted}
  - name: nothing is for this
    request: {url: /nobody}
    expect: {status: 200, answered: false, api: null}
  - name: a wildcard host
    request: {url: "https://a.api.test/x"}
    expect: {status: 203, api: null}
  - name: forward_auth is answered by the stub
    steps:
      - request: {url: /auth/x}
        expect: {status: 200, forwarded: true}
      - request: {url: /auth/x, service: {status: 403}}
        expect: {status: 403}
  - name: certificates
    steps:
      - request: {url: "https://mtls.test:9443/", token: {issuer: https://one.test, certificate: mine}, certificate: mine}
        expect: {status: 200, api: cards, forwarded: true}
      - request: {url: "https://mtls.test:9443/", token: {issuer: https://one.test, certificate: mine}, certificate: another}
        expect: {status: 401, reason: certificate_wrong}
      - request: {url: "https://mtls.test:9443/", token: {issuer: https://one.test, certificate: mine}}
        expect: {connection: refused}
      - request: {url: "https://mtls.test:9443/", token: {issuer: https://one.test}, certificate: mine}
        expect: {status: 401, reason: not_sender_constrained}
      - request: {url: /money, token: {issuer: https://one.test, certificate: mine}, certificate: mine}
        expect: {status: 401, reason: certificate_missing}
  - name: two sites of one name at other ports
    steps:
      - request: {url: "http://plain.test:8080/"}
        expect: {status: 200, api: null}
      - request: {url: "http://plain.test:8081/"}
        expect: {status: 204, api: twice}
      - request: {url: "https://plain.test:8443/"}
        expect: {status: 204, api: twice}
  - name: plain HTTP is sent to https
    request: {url: "http://api.test/money"}
    expect: {status: 308}
`

// lyingCases are none that passes, each for what it says.
const lyingCases = `
base: https://api.test
cases:
  - {name: "status: want 404, got 401", request: {url: /money}, expect: {status: 404}}
  - {name: "reason: want expired, got no_credentials", request: {url: /money}, expect: {status: 401, reason: expired}}
  - {name: "reason: want none, got no_credentials", request: {url: /money}, expect: {status: 401, reason: null}}
  - {name: "type: want invalid_token, got urn:tollgate:problem:missing-credentials", request: {url: /money}, expect: {status: 401, type: invalid_token}}
  - {name: "api: want other, got money", request: {url: /money}, expect: {status: 401, api: other}}
  - {name: "api: want none, got money", request: {url: /money}, expect: {status: 401, api: null}}
  - {name: "forwarded: want true, got false", request: {url: /money}, expect: {status: 401, forwarded: true}}
  - {name: "upstream: want 127.0.0.1:1, got none", request: {url: /money}, expect: {status: 401, upstream: "127.0.0.1:1"}}
  - {name: "answered: want true, got false (no rule is for this", request: {url: /nobody}, expect: {status: 200}}
  - {name: "answered: want false, got true", request: {url: /money}, expect: {status: 401, answered: false}}
  - {name: "connection: want refused, got an answer", request: {url: /money}, expect: {connection: refused}}
  - {name: "connection: want an answer, got aborted", request: {url: /cut}, expect: {status: 200}}
  - {name: "challenge: want \"DPoP error\" in it", request: {url: /money}, expect: {status: 401, challenge: DPoP error}}
  - {name: "remaining: the request is in no zone quiet, nor in any other", request: {url: /money}, expect: {status: 401, remaining: {quiet: 3}}}
  - {name: "remaining of quiet: want 3, got 2", request: {url: /strip/inner}, expect: {status: 200, remaining: {quiet: 3}}}
  - {name: "remaining: the request is in no zone quite: it is in quiet", request: {url: /strip/inner}, expect: {status: 200, remaining: {quite: 2}}}
  - {name: "header Server: want none, got \"Caddy\"", request: {url: /money}, expect: {status: 401, headers: {Server: null}}}
  - {name: "header X-A: want \"1\", got none", request: {url: /money}, expect: {status: 401, headers: {X-A: 1}}}
  - {name: "header at the service: X-Forwarded-Proto: want \"http\", got \"https\"", request: {url: /strip/inner}, expect: {status: 200, service: {X-Forwarded-Proto: http}}}
  - {name: "handler acme_server at", request: {url: /acme/x}, expect: {status: 501}}
  - {name: "the configuration has 2 issuers", request: {url: /money, token: {}}, expect: {status: 401}}
  - {name: "issuer https://two.test/tenant signs no tokens", request: {url: /money, token: {issuer: https://two.test/tenant}}, expect: {status: 401}}
  - {name: "no server of the configuration listens for https at api.test:1234", request: {url: "https://api.test:1234/"}, expect: {status: 200}}
  - {name: "no server of the configuration listens for http at plain.test:8443", request: {url: "http://plain.test:8443/"}, expect: {status: 204}}
  - {name: "no server \"srv99\"", request: {url: /money, server: srv99}, expect: {status: 401}}
  - {name: "no room for so many", request: {url: /strip/inner, after: 4}, expect: {status: 429}}
  - {name: "again, and no proof was sent before", request: {url: /money, token: {issuer: https://one.test, dpop: a}, proof: again}, expect: {status: 401}}
`
