package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authority makes a certificate for 127.0.0.1 that is its own authority, as files.
func authority(t *testing.T, dir string) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "collector"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{certificate: text, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return certificate, key, roots
}

// collector is Debian's rsyslog, which takes messages over TLS and writes each as a line.
type collector struct {
	t                       *testing.T
	dir, certificate, key   string
	port, received, command string
	process                 *exec.Cmd
}

func newCollector(t *testing.T) (*collector, *x509.CertPool) {
	t.Helper()
	c := &collector{t: t, dir: t.TempDir(), port: "0"}
	var err error
	if c.command, err = exec.LookPath("rsyslogd"); err != nil {
		if c.command, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Fatalf("rsyslogd is missing, which scripts/deps.sh installs: %v", err)
		}
	}
	var roots *x509.CertPool
	c.certificate, c.key, roots = authority(t, c.dir)
	c.received = filepath.Join(c.dir, "received")
	c.start()
	t.Cleanup(c.stop)
	return c, roots
}

func (c *collector) start() {
	c.t.Helper()
	portFile := filepath.Join(c.dir, "port")
	config := filepath.Join(c.dir, "rsyslog.conf")
	text := fmt.Sprintf(`global(workDirectory=%q DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile=%q DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="line" type="string" string="%%app-name%% %%msgid%% %%syslogfacility-text%%.%%syslogseverity-text%% %%msg%%\n")
input(type="imtcp" address="127.0.0.1" port=%q listenPortFileName=%q)
action(type="omfile" file=%q template="line")
`, c.dir, c.certificate, c.certificate, c.key, c.port, portFile, c.received)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.process = exec.Command(c.command, "-n", "-f", config, "-i", filepath.Join(c.dir, "pid"))
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the collector listens", func() bool {
		if c.port == "0" { // it writes down the one that it got
			content, err := os.ReadFile(portFile)
			if c.port = strings.TrimSpace(string(content)); err != nil || c.port == "" {
				c.port = "0"
			}
			return false
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", c.port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func (c *collector) stop() {
	if c.process == nil {
		return
	}
	_ = c.process.Process.Kill()
	_ = c.process.Wait() // it was killed
	c.process = nil
}

// has says whether it has received all of these lines.
func (c *collector) has(lines []byte) bool {
	received, err := os.ReadFile(c.received)
	if err != nil {
		return false
	}
	records := make(map[string]bool)
	for line := range bytes.Lines(received) {
		_, record, _ := bytes.Cut(line, []byte("tollgate audit audit.info "))
		records[string(record)] = true
	}
	for line := range bytes.Lines(lines) {
		if !records[string(line)] {
			return false
		}
	}
	return true
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// TestSyslogCollector sends records to a real collector over TLS: all arrive, each as one
// message (RFC 5425, RFC 5424), to nobody whose certificate is another's, and again once
// the collector has been away.
func TestSyslogCollector(t *testing.T) {
	t.Parallel()
	c, roots := newCollector(t)
	_, _, strangers := authority(t, t.TempDir())
	address := net.JoinHostPort("127.0.0.1", c.port)
	good, wary := NewSyslogCopy(address, &tls.Config{RootCAs: roots}), NewSyslogCopy(address, &tls.Config{RootCAs: strangers})
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir, Copies: []Copy{good, wary}})
	n := 0
	batch := func(size int) []byte {
		before := readAll(t, dir)
		for range size {
			n++
			r := decision(n)
			r.Reason = strings.Repeat("é\"\\ <13>1 ", n%50) // what a frame must not be cut at
			l.Append(r)
		}
		flush(t, l)
		return readAll(t, dir)[len(before):]
	}
	records := batch(1000)
	eventually(t, "the collector has a thousand records", func() bool { return c.has(records) })
	eventually(t, "a copy does not trust another authority", func() bool { return wary.Lost() > 0 })
	if good.Lost() != 0 {
		t.Errorf("%d batches were lost", good.Lost())
	}

	c.stop()
	eventually(t, "what is sent to nobody is lost, and counted", func() bool {
		batch(1)
		return good.Lost() > 0
	})
	c.start()
	var later [][]byte // the first of them may be lost as well
	eventually(t, "the collector is found again", func() bool {
		later = append(later, batch(1))
		return slices.ContainsFunc(later, c.has)
	})
	received, err := os.ReadFile(c.received)
	if err != nil || !bytes.Contains(received, []byte(`{"kind":"checkpoint","note":"`)) {
		t.Errorf("no checkpoint has arrived: %v", err)
	}
	closeLog(t, l)
	if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
		t.Errorf("the log itself: %v", err)
	}
}

// readAll gives the records of a log's only segment.
func readAll(t *testing.T, dir string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.records"))
	if err != nil || len(files) > 1 {
		t.Fatalf("%v: %v", files, err)
	}
	if len(files) == 0 {
		return nil
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return content
}
