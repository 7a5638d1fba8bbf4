package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Authority signs certificates for tests.
type Authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// File has the authority's own certificate, in PEM.
	File string
}

// NewAuthority makes one.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	a.cert, a.key, a.File = a.make("authority", true)
	return a
}

// Issue gives the files of a certificate for loopback, in PEM, and of its key.
func (a *Authority) Issue(name string) (cert, key string) {
	a.t.Helper()
	_, private, file := a.make(name, false)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return file, a.write(name+".key", "PRIVATE KEY", der)
}

func (a *Authority) make(name string, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: isCA,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if !isCA {
		template.KeyUsage, parent, signer = x509.KeyUsageDigitalSignature, a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, a.write(name+".pem", "CERTIFICATE", der)
}

func (a *Authority) write(name, kind string, der []byte) string {
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// NewRedisTLS starts a redis-server that also speaks TLS, to clients with a certificate of
// the authority, and gives that address beside it. Its plain port is for who administers it.
func NewRedisTLS(t testing.TB, a *Authority, args ...string) (server *RedisServer, addr string) {
	t.Helper()
	cert, key := a.Issue("redis")
	port := strconv.Itoa(freePort(t))
	server = NewRedisServer(t, append([]string{"--tls-port", port, "--tls-ca-cert-file", a.File,
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "yes"}, args...)...)
	return server, net.JoinHostPort("127.0.0.1", port)
}
