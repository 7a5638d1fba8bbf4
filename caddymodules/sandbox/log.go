package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
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

// inside are the loggers of what runs in here: all but that of the command itself.
var inside = []string{"http", "tollgate", "tls", "events", "rate_limit", "redis", "admin", "pki"}

// config makes it the log of everything in here. The default one stays where Caddy has it:
// to move it would be said aloud.
func (l *lines) config() *caddy.Logging {
	writer, _ := json.Marshal(map[string]string{"output": "sandbox", "id": l.id}) // of plain values
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"stderr"}`), Level: "ERROR"}, Exclude: inside},
		"sandbox":               {BaseLog: caddy.BaseLog{WriterRaw: writer, EncoderRaw: json.RawMessage(`{"format":"json"}`), Level: "INFO"}},
	}}
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
	entries := l.entries("http.log.access")
	if len(entries) == 0 {
		return "", ""
	}
	return entries[0].API, entries[0].Reason
}

// errors gives the errors that were logged beside.
func (l *lines) errors() (texts []string) {
	for _, entry := range l.entries(`"level":"error"`) {
		if strings.HasPrefix(entry.Logger, "http.log.access") {
			continue
		}
		text := entry.Logger + ": " + entry.Msg
		for _, more := range []string{entry.Error, entry.Cause} {
			if more != "" {
				text += ": " + more
			}
		}
		texts = append(texts, text)
	}
	return texts
}

// entry is a line of the log, as far as anybody here reads it.
type entry struct{ API, Reason, Logger, Msg, Error, Cause string }

// entries gives the lines that contain a text.
func (l *lines) entries(text string) (found []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.last {
		if !bytes.Contains(line, []byte(text)) {
			continue
		}
		var e entry
		_ = json.Unmarshal(line, &e) // none is empty
		found = append(found, e)
	}
	return found
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
