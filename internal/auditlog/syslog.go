package auditlog

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	// syslogPriority is facility 13, log audit, at severity 6, informational (RFC 5424 section 6.2.1).
	syslogPriority = 13*8 + 6
	syslogTimeout  = 5 * time.Second
	syslogPause    = time.Second // between two dials that fail
)

// checkpointLine wraps a signed checkpoint into a line of JSON.
func checkpointLine(message []byte) []byte {
	text, err := json.Marshal(map[string]string{"kind": "checkpoint", "note": string(message)})
	if err != nil {
		panic(err) // a string: cannot be
	}
	return append(text, '\n')
}

// syslog sends lines to a collector over TLS (RFC 5425).
type syslog struct {
	address string
	config  *tls.Config
	host    string
	now     func() time.Time

	conn net.Conn
	next time.Time // when to dial again
}

// NewSyslogCopy sends each line to a collector as a message (RFC 5424) over TLS
// (RFC 5425), which dials when there is something to send.
func NewSyslogCopy(address string, config *tls.Config) Copy {
	host, err := os.Hostname()
	if err != nil {
		host = "-" // nil value of RFC 5424
	}
	s := &syslog{address: address, config: config, host: host, now: time.Now}
	return newSender(s.write, s.close)
}

func (s *syslog) write(lines []byte) error {
	if err := s.dial(); err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(s.now().Add(syslogTimeout)); err != nil {
		return s.drop(err)
	}
	if _, err := s.conn.Write(s.frames(lines)); err != nil {
		return s.drop(err)
	}
	return nil
}

var errPause = errors.New("the collector was out of reach a moment ago")

func (s *syslog) dial() error {
	if s.conn != nil {
		return nil
	}
	if s.now().Before(s.next) {
		return errPause
	}
	dialer := &net.Dialer{Timeout: syslogTimeout}
	conn, err := tls.DialWithDialer(dialer, "tcp", s.address, s.config)
	if err != nil {
		s.next = s.now().Add(syslogPause)
		return err
	}
	s.conn = conn
	return nil
}

func (s *syslog) drop(err error) error {
	_ = s.conn.Close()
	s.conn = nil
	return err
}

// frames makes a message of each line, with its length in front (RFC 5425 section 4.3).
func (s *syslog) frames(lines []byte) []byte {
	header := fmt.Sprintf("<%d>1 %s %s tollgate %d audit - ", syslogPriority, s.now().UTC().Format(timeFormat), s.host, os.Getpid())
	var framed []byte
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		framed = strconv.AppendInt(framed, int64(len(header)+len(line)), 10)
		framed = append(framed, ' ')
		framed = append(append(framed, header...), line...)
	}
	return framed
}

func (s *syslog) close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
