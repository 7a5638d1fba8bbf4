package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed static
var staticFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// page is all that a template can show.
type page struct {
	Name     string // which template
	Title    string
	Message  string
	Products []Product
	Order    Order
	Refresh  int // seconds; zero: the page stays as it is

	// Filled in by render.
	Basket   []Line
	Count    int // pieces in the basket
	Total    Money
	Currency string
}

// Price gives a product's price in the shop's currency.
func (p page) Price(product Product) Money {
	return Money{Value: product.Price, Currency: p.Currency}
}

// Sum gives what a line costs.
func (p page) Sum(line Line) Money {
	return Money{Value: line.Product.Price * int64(line.Quantity), Currency: p.Currency}
}

// templates holds one set per page: the layout and the page's content.
var templates = parseTemplates("catalogue", "basket", "order", "message")

func parseTemplates(names ...string) map[string]*template.Template {
	sets := make(map[string]*template.Template, len(names))
	quantities := func() []int { return []int{1, 2, 3, 4, 5, 6, 7, 8, maxQuantity} }
	for _, name := range names {
		sets[name] = template.Must(template.New("layout.html").
			Funcs(template.FuncMap{"quantities": quantities}).
			ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html"))
	}
	return sets
}

// render writes a page. It is made in memory first, so that an error in a
// template does not leave half a page.
func (s *Shop) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Currency = s.currency
	p.Basket = s.sessions.lines(s.sessions.id(r))
	p.Total = totalOf(p.Basket, s.currency)
	for _, line := range p.Basket {
		p.Count += line.Quantity
	}
	var out bytes.Buffer
	if err := templates[p.Name].Execute(&out, p); err != nil {
		s.log.Error("page not made", "page", p.Name, "error", err)
		http.Error(w, "something went wrong", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // a page shows a basket or an order
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the browser is gone: nobody to tell
}
