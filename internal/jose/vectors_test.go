package jose

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"testing"
)

// The examples of the RFCs: RFC 7515 appendix A.3, RFC 8037 appendix A.4.
func TestVerifiesExamplesOfTheRFCs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		algorithm Algorithm
		jwk, jws  string
		payload   string
	}{
		{
			name:      "RFC 7515 A.3 ES256",
			algorithm: ES256,
			jwk: `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
				"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
			jws: "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
				".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			payload: "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
		},
		{
			name:      "RFC 8037 A.4 EdDSA",
			algorithm: EdDSA,
			jwk:       `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
			jws: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc" +
				".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
			payload: "Example of Ed25519 signing",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := ParseCompact(test.jws)
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Payload) != test.payload {
				t.Errorf("payload %q", m.Payload)
			}
			key := mustKey(t, test.jwk)
			if err := m.Verify(key, test.algorithm); err != nil {
				t.Errorf("Verify: %v", err)
			}
			for _, other := range []Algorithm{ES256, PS256, EdDSA, RS256, "none", "HS256", ""} {
				if other != test.algorithm && m.Verify(key, other) == nil {
					t.Errorf("verifies as %q, too", other)
				}
			}
		})
	}
}

// TestEd25519 has both names of the algorithm (RFC 9864): they are of one, which goes with
// Ed25519 keys alone, and such a key with no other.
func TestEd25519(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	const p256 = `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	okp := `"kty":"OKP","crv":"Ed25519","x":"` + encode(public) + `"`
	for _, name := range []string{"EdDSA", "Ed25519"} {
		input := encode([]byte(`{"alg":"`+name+`"}`)) + "." + encode([]byte("{}"))
		m, err := ParseCompact(input + "." + encode(ed25519.Sign(private, []byte(input))))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"{" + okp + "}", "{" + okp + `,"alg":"EdDSA"}`, "{" + okp + `,"alg":"Ed25519"}`} {
			if err := m.Verify(mustKey(t, key), EdDSA); err != nil {
				t.Errorf("%s under %s: %v", name, key, err)
			}
		}
		if ec := mustKey(t, "{"+p256+"}"); m.Verify(ec, ec.Algorithm) == nil || m.Verify(ec, EdDSA) == nil {
			t.Errorf("%s verifies under a key on P-256", name)
		}
	}
	for _, document := range []string{"{" + p256 + `,"alg":"Ed25519"}`, "{" + okp + `,"alg":"ES256"}`, "{" + okp + `,"alg":"Ed448"}`} {
		members, err := ParseObject([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKey(members); err == nil {
			t.Errorf("accepted %s", document)
		}
	}
	for _, name := range []string{"ed25519", "Ed448", "ESP256", "none"} {
		if AlgorithmOf(name).Supported() {
			t.Errorf("%s is supported", name)
		}
	}
}

// The examples of RFC 7638 section 3.1 and RFC 8037 appendix A.3.
func TestThumbprintsOfTheRFCs(t *testing.T) {
	t.Parallel()
	rsa := mustKey(t, `{"kty":"RSA","alg":"RS256","kid":"2011-04-29","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbf`+
		`AAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65`+
		`YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lF`+
		`d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}`)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; rsa.Thumbprint != want {
		t.Errorf("RSA: %s, want %s", rsa.Thumbprint, want)
	}
	okp := mustKey(t, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; okp.Thumbprint != want {
		t.Errorf("OKP: %s, want %s", okp.Thumbprint, want)
	}
}

func mustKey(t *testing.T, jwk string) *Key {
	t.Helper()
	members, err := ParseObject([]byte(jwk))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(members)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
