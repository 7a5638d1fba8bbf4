package policy

import (
	_ "embed"
	"html/template"
	"io"
	"strings"

	"github.com/open-tollgate/tollgate/internal/printable"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"join": func(values []string) string { return strings.Join(values, " ") },
	"any":  anyOr,
}).Parse(pageText))

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer, title string) error {
	var b strings.Builder
	err := page.Execute(&b, struct {
		*Report
		Title string
	}{r, title})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, printable.Page(b.String()))
	return err
}
