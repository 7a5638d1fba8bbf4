package redisclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// The parameters of a rediss URL that name files in PEM.
const (
	caParameter   = "ca_file"   // who signs the server's certificate; left out: the system's
	certParameter = "cert_file" // this client's certificate
	keyParameter  = "key_file"  // and its key
)

// takeTLS takes those parameters out of the query, and gives what sets a client's TLS up
// by them.
func takeTLS(scheme string, query url.Values) (func(*tls.Config), error) {
	if query.Has("skip_verify") {
		return nil, errors.New("skip_verify: anybody could pass for this Redis; name who signs its certificate in " + caParameter)
	}
	files := make(map[string]string)
	for _, parameter := range []string{caParameter, certParameter, keyParameter} {
		if query.Has(parameter) {
			files[parameter] = query.Get(parameter)
			query.Del(parameter)
		}
	}
	if len(files) == 0 {
		return func(*tls.Config) {}, nil
	}
	if scheme != "rediss" {
		return nil, fmt.Errorf("%s, %s and %s are for rediss://", caParameter, certParameter, keyParameter)
	}
	roots, err := roots(files)
	if err != nil {
		return nil, err
	}
	present, err := certificate(files)
	if err != nil {
		return nil, err
	}
	return func(c *tls.Config) { c.RootCAs, c.GetClientCertificate = roots, present }, nil
}

func roots(files map[string]string) (*x509.CertPool, error) {
	file, given := files[caParameter]
	if !given {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", caParameter, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in %s", caParameter, file)
	}
	return pool, nil
}

// certificate reads the client's certificate for each connection, so that a new one needs
// no restart. It is read once beforehand, to say early what is wrong with it.
func certificate(files map[string]string) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	cert, hasCert := files[certParameter]
	key, hasKey := files[keyParameter]
	if hasCert != hasKey {
		return nil, fmt.Errorf("%s and %s go together", certParameter, keyParameter)
	}
	if !hasCert {
		return nil, nil
	}
	read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", certParameter, keyParameter, err)
		}
		return &pair, nil
	}
	_, err := read(nil)
	return read, err
}
