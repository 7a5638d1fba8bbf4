package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// lines is the log of an edge, of which the access log says the API and the reason of
// each answer.
type lines struct {
	id   string
	mu   sync.Mutex
	last [][]byte
}

// logs are the logs of all edges, by which Caddy finds them.
var logs sync.Map

func newLines(id string) *lines {
	l := &lines{id: id}
	logs.Store(id, l)
	return l
}

// config makes it the only log there is.
func (l *lines) config() *caddy.Logging {
	writer, _ := json.Marshal(map[string]string{"output": "sandbox", "id": l.id}) // of plain values
	log := &caddy.CustomLog{BaseLog: caddy.BaseLog{
		WriterRaw: writer, EncoderRaw: json.RawMessage(`{"format":"json"}`), Level: "INFO",
	}}
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: log}}
}

// Write keeps a line.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, bytes.Clone(line))
	return len(line), nil
}

// Close implements io.Closer.
func (*lines) Close() error { return nil }

func (l *lines) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = nil
}

// access gives what the access log said of the request.
func (l *lines) access() (api, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.last {
		if !bytes.Contains(line, []byte("http.log.access")) {
			continue
		}
		var entry struct{ API, Reason string }
		_ = json.Unmarshal(line, &entry) // none is empty
		return entry.API, entry.Reason
	}
	return "", ""
}

// logWriter leads Caddy to the lines of an edge.
type logWriter struct {
	ID string `json:"id"`
}

func (logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.sandbox", New: func() caddy.Module { return new(logWriter) }}
}

func (w *logWriter) String() string    { return "sandbox " + w.ID }
func (w *logWriter) WriterKey() string { return "sandbox " + w.ID }

func (w *logWriter) OpenWriter() (io.WriteCloser, error) {
	found, ok := logs.Load(w.ID)
	if !ok {
		return nil, errors.New("no such log")
	}
	return found.(*lines), nil
}

// registerOnce makes the modules of this package known to Caddy, in a process that needs
// them: no edge that serves anybody can be configured with one.
var registerOnce = sync.OnceFunc(func() {
	caddy.RegisterModule(new(logWriter))
})
