package policy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy"
)

// got is what a service has been asked.
type got struct {
	Method, Target, Host string
	Fields               map[string][]string
}

// fields are those that the random handlers change.
var fields = []string{"X-Flag", "X-Mode", "X-User-Id", "X-Role"}

// record answers with what it was asked, and keeps it.
func (w *world) record(name string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g := got{r.Method, r.RequestURI, r.Host, make(map[string][]string)}
		for field, values := range r.Header {
			if slices.Contains(fields, field) || strings.HasPrefix(field, "Zq7-") { // as witnesses call those that only a pattern names
				g.Fields[field] = values
			}
		}
		w.mu.Lock()
		w.heard = append(w.heard, name+" "+g.String())
		w.mu.Unlock()
		rw.Header().Set("X-Upstream", name)
		rw.Header().Set("X-Got", g.String())
	})
}

// hear gives what services have been asked since the last time, in an order of its own.
func (w *world) hear() []string {
	heard := w.heardInOrder()
	slices.Sort(heard)
	return heard
}

// heardInOrder is hear as they were asked.
func (w *world) heardInOrder() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := w.heard
	w.heard = nil
	return heard
}

// hears is what they are asked in the model, and false where nothing can be said.
func (w *world) hears(o *policy.Outcome, m *policy.Request) (heard []string, known bool) {
	asked := o.Asked
	if o.Kind == policy.Forwarded {
		asked = append(slices.Clip(asked), &policy.Asked{Upstreams: o.Upstreams, Sent: o.Sent})
	}
	for _, a := range asked {
		if len(a.Upstreams) == 0 {
			continue // a folder
		}
		text, known := w.says(&policy.Outcome{Kind: policy.Forwarded, Upstreams: a.Upstreams, Sent: a.Sent}, m)
		if !known {
			return nil, false
		}
		heard = append(heard, w.nameOf(a.Upstreams[0])+" "+text)
	}
	slices.Sort(heard)
	return heard, true
}

func (g got) String() string {
	text, _ := json.Marshal(g) // of strings
	return string(text)
}

// folder is one that file_server can show: names that the random paths have, with where they
// are as what is in them.
func folder(t testing.TB) string {
	root := t.TempDir()
	for _, name := range []string{"a", "b", "admin", "users/7", "users/x-1", "a b", "usersx"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("file:"+file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// reached is what the answer shows of what was asked of whom. copy_response_headers can bring the
// one field of a service into another answer, without the other.
func reached(answer sandbox.Answer) string {
	if text := answer.Header().Get("X-Got"); text != "" && answer.Header().Get("X-Upstream") != "" {
		return text
	}
	if body := answer.Body.String(); strings.HasPrefix(body, "file:") {
		return body
	}
	return ""
}

// says is what the model has of the same, and false where nothing can be said.
func (w *world) says(o *policy.Outcome, m *policy.Request) (text string, known bool) {
	if o.Sent == nil {
		return "", true
	}
	if len(o.Sent.Rewrites) > 0 {
		return "", false
	}
	if o.Kind == policy.Files {
		return fileOf(o, m)
	}
	g := got{o.Sent.Method, o.Sent.Target, o.Sent.Host, make(map[string][]string)}
	if strings.HasPrefix(g.Host, "{") { // as the service is called
		g.Host = strings.TrimPrefix(o.Upstreams[0], "http://")
	}
	for _, field := range fields {
		values := o.Sent.Field(field, m.Header[field])
		if slices.Contains(values, "(not known)") {
			return "", false
		}
		if values != nil {
			g.Fields[field] = values
		}
	}
	return g.String(), true
}

// noFile is what is asked where a folder has nothing of that name.
const noFile = "no file"

// fileOf is what is in the file, where there is one. What becomes of others is up to the folder.
func fileOf(o *policy.Outcome, m *policy.Request) (text string, known bool) {
	target, err := url.ParseRequestURI(o.Sent.Target)
	if err != nil || o.Sent.Method != http.MethodGet || strings.HasSuffix(target.Path, "/") || strings.HasSuffix(m.Target, "/") {
		return "", false
	}
	content, err := os.ReadFile(filepath.Join(o.Sent.Root, filepath.Clean("/"+target.Path)))
	if err != nil {
		return noFile, false
	}
	return string(content), true
}
