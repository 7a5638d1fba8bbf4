package policy

import (
	"cmp"
	"encoding/json"
	"net/http"
	"path"
	"slices"
)

// FilesHandler answers with what is in a folder.
type FilesHandler struct {
	At       string
	Root     string    `json:"root"`
	FS       string    `json:"fs"`
	Hide     []string  `json:"hide"`
	PassThru bool      `json:"pass_thru"`
	Browse   *struct{} `json:"browse"`

	leaves map[string]string
}

func (p *parser) files(at string, raw json.RawMessage) *FilesHandler {
	h := &FilesHandler{At: at, leaves: leavesOf(raw)}
	p.fail(at+" file_server", json.Unmarshal(raw, h))
	return h
}

func (h *FilesHandler) String() string { return "file_server" }

func (h *FilesHandler) serve(w *walk, next next) end {
	if h.PassThru && !w.unknown("whether a file is there, at "+h.At) {
		return next()
	}
	if status, fails := w.fails(fileFails, h.At); fails {
		return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
	}
	// A file is not given to who would write it, other than as the page of an error; a list
	// of files is given to everybody.
	if w.errorStatus == 0 && h.Browse == nil && !reading.matches(w) {
		w.meet(h.At, h)
		return w.fail(http.StatusMethodNotAllowed, w.reasonOf(http.StatusMethodNotAllowed), Step{h.At, h.String()})
	}
	w.answer(Files, 0, Step{h.At, h.String()})
	settings := filledLeaves(w, h.leaves)
	settings["root"], settings["fs"] = w.fill(cmp.Or(h.Root, w.vars["root"], ".")), w.fill(cmp.Or(h.FS, w.vars["fs"]))
	w.deliver(h, settings)
	return answered
}

// reading are the methods that read.
var reading = methodMatcher{http.MethodGet, http.MethodHead}

// hidden are the files that it does not show. The Caddyfile hides itself, whatever it is
// called.
func (h *FilesHandler) hidden(c *Config) []string {
	all := slices.Clone(h.Hide)
	for n, name := range all {
		if c.File != "" && path.Clean(name) == path.Clean(c.File) {
			all[n] = "(this configuration)"
		}
	}
	return all
}
