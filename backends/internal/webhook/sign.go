// Package webhook sends one message to one endpoint by the Standard Webhooks
// specification: signed, bounded, without following redirects, and never into
// a private network.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// secretSize is 256 bits: the specification asks for 192 to 512.
const secretSize = 32

// NewSecret makes a secret to sign with.
func NewSecret() []byte {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // crypto/rand never fails
	return secret
}

// FormatSecret gives the secret as the receiver's library takes it. It is shown
// once, to the one who added the endpoint.
func FormatSecret(secret []byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

// Sign gives the value of webhook-signature: one signature for each secret, so
// that a receiver can change secrets without missing a message.
func Sign(secrets [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
