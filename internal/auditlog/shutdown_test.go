package auditlog

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A copy that nobody reads does not keep a process from ending.
func TestCloseWaitsForNoCopy(t *testing.T) {
	t.Parallel()
	reader, pipe, err := os.Pipe() // as a standard output that somebody has stopped to read
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	dir := t.TempDir()
	certificate, key, roots := authority(t, dir)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake() }() // and never reads
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	log := filepath.Join(dir, "log")
	l := idle(t, Config{Dir: log, Copies: []Copy{
		NewWriterCopy(pipe),
		NewSyslogCopy(listener.Addr().String(), &tls.Config{RootCAs: roots}),
		NewSyslogCopy(silent.Addr().String(), &tls.Config{RootCAs: roots}),
	}})
	for range 12 {
		for n := range 3000 { // more than the buffers of pipes and sockets take
			l.Append(decision(n))
		}
		flush(t, l)
	}
	closed := make(chan error, 1)
	begin := time.Now()
	go func() { closed <- l.Close() }()
	select {
	case err := <-closed:
		t.Logf("closed in %v: %v", time.Since(begin).Round(time.Millisecond), err)
	case <-time.After(closeTimeout + 20*time.Second):
		t.Fatal("it still waits")
	}
	if info := l.Info(); info.CopiesLost == 0 {
		t.Error("no copy has lost anything")
	}
	if _, err := Verify(log, verifierOf(t, log), Expect{}); err != nil {
		t.Error(err)
	}
}

// What comes after the end is not taken, and counted.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	l := idle(t, Config{Dir: t.TempDir()})
	if err := l.Reserve(); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if err := l.Reserve(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a record is taken: %v", err)
	}
	l.AppendReserved(decision(1))
	l.Append(decision(2))
	if info := l.Info(); info.Lost != 2 || info.Waiting != 0 {
		t.Errorf("%+v", info)
	}
}

// What fails does not leave goroutines that wait for records.
func TestAFailedOpenEndsItsCopies(t *testing.T) {
	t.Parallel()
	c := newSender(func([]byte) error { return nil }, func() error { return nil })
	if _, err := Open(Config{Dir: "/dev/null/x", Origin: origin, Copies: []Copy{c}}); err == nil {
		t.Fatal("opened")
	}
	<-c.done
}

// What could not be written at the end is told, all of it.
func TestTheEndOfALogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	l := idle(t, Config{Dir: t.TempDir()})
	_ = l.writer.segment.records.file.Close() // as a disk that is gone
	for n := range 3 {
		l.Append(decision(n))
	}
	if l.flush() == nil {
		t.Fatal("written")
	}
	l.Append(decision(4))
	if info := l.Info(); info.Waiting != 4 || !info.Failing {
		t.Errorf("%+v", info)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "5 records are lost") { // and "stopped"
		t.Errorf("%v", err)
	}
}
