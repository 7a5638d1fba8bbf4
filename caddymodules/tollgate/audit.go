package tollgate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// Audit is the log of decisions, whose records cannot be changed unseen.
type Audit struct {
	// Dir is its folder.
	Dir string `json:"dir"`
	// Name is what its checkpoints are signed as; the host's name when empty.
	Name string `json:"name,omitempty"`
	// SigningKey is a file; signing.key in the folder when empty. It is made if it is missing.
	SigningKey string `json:"signing_key,omitempty"`
	// Keep is how long records are kept; for ever when zero.
	Keep caddy.Duration `json:"keep,omitempty"`
	// SegmentSize, in octets, and SegmentAge are when a new segment begins; 64 MiB and a day when zero.
	SegmentSize int64          `json:"segment_size,omitempty"`
	SegmentAge  caddy.Duration `json:"segment_age,omitempty"`
	// Queue is how many records may wait while the disk does not take them; 65,536 when zero.
	Queue int `json:"queue,omitempty"`
	// Stdout copies each record and checkpoint to standard output.
	Stdout bool `json:"stdout,omitempty"`
	// Syslog is a collector, host:port, that gets a copy over TLS (RFC 5425); SyslogCA a
	// file with the authorities that its certificate may be of, the system's when empty.
	Syslog   string `json:"syslog,omitempty"`
	SyslogCA string `json:"syslog_ca,omitempty"`
}

// config is what the log is opened with, but for its copies.
func (a Audit) config() auditlog.Config {
	return auditlog.Config{
		Dir: a.Dir, Origin: a.Name, SigningKey: a.SigningKey, Queue: a.Queue, Keep: time.Duration(a.Keep),
		SegmentSize: a.SegmentSize, SegmentAge: time.Duration(a.SegmentAge), Changed: auditChanged,
	}
}

// auditChanged says, once a change, that the log cannot be written or can be again.
func auditChanged(err error) {
	logger := sharedLogger("tollgate.audit")
	if err != nil {
		logger.Error("the audit log cannot be written: records wait, and APIs with audit required answer 503", "error", err)
		return
	}
	logger.Info("the audit log can be written again")
}

// check says what is wrong with the settings. It opens no log and dials nobody.
func (a Audit) check() error {
	if _, err := a.config().Check(); err != nil {
		return err
	}
	if a.Syslog == "" {
		if a.SyslogCA != "" {
			return errors.New("syslog_ca without syslog")
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(a.Syslog); err != nil || port == "" {
		return fmt.Errorf("syslog %q is not host:port", a.Syslog)
	}
	_, err := a.collectorTLS()
	return err
}

func (a Audit) collectorTLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.SyslogCA == "" {
		return config, nil
	}
	content, err := os.ReadFile(a.SyslogCA)
	if err != nil {
		return nil, fmt.Errorf("syslog_ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("syslog_ca: no certificate in %s", a.SyslogCA)
	}
	return config, nil
}

func (a Audit) copies() ([]auditlog.Copy, error) {
	var copies []auditlog.Copy
	if a.Stdout {
		copies = append(copies, auditlog.NewWriterCopy(os.Stdout))
	}
	if a.Syslog != "" {
		config, err := a.collectorTLS()
		if err != nil {
			return nil, err
		}
		copies = append(copies, auditlog.NewSyslogCopy(a.Syslog, config))
	}
	return copies, nil
}

// auditOff is what an operator writes for "no audit log", as redisclient.Off is.
const auditOff = "off"

// parseAudit reads the folder and a block of options.
func (a *App) parseAudit(d *caddyfile.Dispenser) error {
	if a.Audit != nil {
		return d.Err("audit is there twice")
	}
	start := d.Token()
	settings := new(Audit)
	if !d.AllArgs(&settings.Dir) {
		return d.ArgErr()
	}
	if settings.Dir != auditOff {
		a.Audit = settings
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := settings.parseOption(d); err != nil {
			return err
		}
	}
	if err := settings.check(); err != nil {
		return ErrorAt(start, "audit: %w", err)
	}
	return nil
}

func (a *Audit) parseOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	if option == "stdout" {
		a.Stdout = true
		if d.NextArg() {
			return d.ArgErr()
		}
		return nil
	}
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	var err error
	switch option {
	case "name":
		a.Name = value
	case "signing_key":
		a.SigningKey = value
	case "syslog":
		a.Syslog = value
	case "syslog_ca":
		a.SyslogCA = value
	case "keep":
		err = parseAge(value, &a.Keep)
	case "segment_age":
		err = parseAge(value, &a.SegmentAge)
	case "segment_size":
		err = parseSize(value, &a.SegmentSize)
	case "queue":
		a.Queue, err = strconv.Atoi(value)
	default:
		return d.Errf("audit: unknown option %q", option)
	}
	if err != nil {
		return d.Errf("audit: %s %q is not understood: %w", option, value, err)
	}
	return nil
}

func parseAge(value string, into *caddy.Duration) error {
	age, err := caddy.ParseDuration(value)
	if err == nil && age <= 0 {
		err = errors.New("not a length of time")
	}
	*into = caddy.Duration(age)
	return err
}

func parseSize(value string, into *int64) error {
	size, err := humanize.ParseBytes(value)
	if err == nil && (size < 1<<10 || size > 1<<40) {
		err = errors.New("want 1KiB to 1TiB")
	}
	*into = int64(size)
	return err
}

// audits keeps the log over a reload: its place in the tree, and what waits to be
// written. A folder has one log.
var audits = caddy.NewUsagePool()

// audit is a pooled log. It is opened by the first Start, or by a request that comes before
// it: validating a configuration must not touch a log that an edge writes to.
type audit struct {
	settings Audit
	log      atomic.Pointer[auditlog.Log] // nil: not opened

	mu     sync.Mutex
	failed error // of opening it, which ends the edge
}

// Destruct writes what waits, and closes the log.
func (a *audit) Destruct() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if log := a.log.Load(); log != nil {
		return log.Close()
	}
	return nil
}

func (a *audit) open() (*auditlog.Log, error) {
	if log := a.log.Load(); log != nil {
		return log, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if log := a.log.Load(); log != nil || a.failed != nil {
		return log, a.failed
	}
	config := a.settings.config()
	var log *auditlog.Log
	if config.Copies, a.failed = a.settings.copies(); a.failed == nil {
		log, a.failed = auditlog.Open(config)
	}
	if a.failed != nil {
		return nil, a.failed
	}
	a.log.Store(log)
	return log, nil
}

// provisionAudit takes the log from the pool.
func (a *App) provisionAudit(ctx caddy.Context) error {
	if a.Audit == nil || a.world != nil {
		return nil
	}
	if err := a.Audit.check(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	pooled, _, err := audits.LoadOrNew(a.Audit.Dir, func() (caddy.Destructor, error) {
		return &audit{settings: *a.Audit}, nil
	})
	if err != nil {
		return err
	}
	a.releases = append(a.releases, func() { a.release(audits, a.Audit.Dir) })
	a.audit = pooled.(*audit)
	if a.audit.settings != *a.Audit {
		return fmt.Errorf("audit %s: its options cannot change while the log is open: restart for that, or name another folder", a.Audit.Dir)
	}
	return Register(ctx, auditCollector{a.audit})
}

// startAudit opens the log.
func (a *App) startAudit() (err error) {
	a.auditLog, err = a.OpenAuditLog()
	return err
}

// OpenAuditLog gives the log of decisions, or nil where none is kept. It opens it if it is not
// open yet: Caddy starts its apps in any order, so requests can come before Start.
func (a *App) OpenAuditLog() (*auditlog.Log, error) {
	if a.audit == nil {
		return nil, nil
	}
	return a.audit.open()
}

var (
	auditRecords = prometheus.NewDesc("tollgate_audit_records",
		"Records in the audit log, from its very first on.", nil, nil)
	auditWaiting = prometheus.NewDesc("tollgate_audit_waiting",
		"Records that wait to be written.", nil, nil)
	auditLost = prometheus.NewDesc("tollgate_audit_lost_total",
		"Records that found no room because the log could not be written.", nil, nil)
	auditFailures = prometheus.NewDesc("tollgate_audit_write_failures_total",
		"Tries to write the audit log that failed.", nil, nil)
	auditFailing = prometheus.NewDesc("tollgate_audit_failing",
		"1 while the audit log cannot be written.", nil, nil)
	auditAge = prometheus.NewDesc("tollgate_audit_checkpoint_timestamp_seconds",
		"When the newest checkpoint was signed.", nil, nil)
	auditCopies = prometheus.NewDesc("tollgate_audit_copies_lost_total",
		"Batches of records that a copy of the audit log did not get.", nil, nil)
)

// auditCollector reads the log when somebody scrapes.
type auditCollector struct{ audit *audit }

// Describe sends all metrics of the log.
func (auditCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{auditRecords, auditWaiting, auditLost, auditFailures, auditFailing, auditAge, auditCopies} {
		descs <- desc
	}
}

// Collect sends what holds now.
func (c auditCollector) Collect(metrics chan<- prometheus.Metric) {
	log := c.audit.log.Load()
	if log == nil {
		return
	}
	info := log.Info()
	failing := 0.0
	if info.Failing {
		failing = 1
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	counter := func(desc *prometheus.Desc, value uint64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
	gauge(auditRecords, float64(info.Size))
	gauge(auditWaiting, float64(info.Waiting))
	gauge(auditFailing, failing)
	gauge(auditAge, float64(info.Checkpoint.Unix()))
	counter(auditLost, info.Lost)
	counter(auditFailures, info.Failures)
	counter(auditCopies, info.CopiesLost)
}
