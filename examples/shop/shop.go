package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const maxForm = 16 << 10

// Shop answers browsers, and Tollgate's webhooks.
type Shop struct {
	publicURL *url.URL
	currency  string
	tollgate  *Tollgate
	webhooks  *standardwebhooks.Webhook
	sessions  *sessions
	orders    *orders
	delivered deliveries
	log       *slog.Logger
	now       func() time.Time
}

func newShop(cfg config, log *slog.Logger) (*Shop, error) {
	tollgate, err := newTollgate(cfg)
	if err != nil {
		return nil, err
	}
	webhooks, err := standardwebhooks.NewWebhook(cfg.WebhookSecret)
	if err != nil {
		return nil, fmt.Errorf("the webhook secret is not of the form whsec_BASE64: %w", err)
	}
	return &Shop{
		publicURL: cfg.PublicURL,
		currency:  cfg.Currency,
		tollgate:  tollgate,
		webhooks:  webhooks,
		sessions:  newSessions(cfg.PublicURL.Scheme == "https"),
		orders:    newOrders(time.Now),
		delivered: deliveries{seen: newRecent[struct{}](maxWebhookSeen)},
		log:       log,
		now:       time.Now,
	}, nil
}

// handler gives all the routes.
func (s *Shop) handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.showCatalogue)
	pages.HandleFunc("GET /basket", s.showBasket)
	pages.HandleFunc("POST /basket", s.addToBasket)
	pages.HandleFunc("POST /basket/{product}", s.changeBasket)
	pages.HandleFunc("POST /checkout", s.checkout)
	pages.HandleFunc("GET /orders/{id}", s.showOrder)
	pages.HandleFunc("POST /orders/{id}/pay", s.payAgain)
	pages.HandleFunc("GET "+callbackPath, s.callback)
	pages.Handle("GET /static/", http.FileServerFS(staticFiles))
	pages.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.showNotFound(w, r) })

	root := http.NewServeMux()
	root.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	root.HandleFunc("POST /webhooks", s.webhook)
	// CrossOriginProtection is the guard against forged requests: it refuses a
	// POST that another site made the browser send.
	root.Handle("/", s.atPublicURL(http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(pages, maxForm))))
	return s.withSecurityHeaders(root)
}

// atPublicURL sends browsers that came by another name to the public one. The
// session's cookie belongs to one host, and Tollgate returns the browser there.
func (s *Shop) atPublicURL(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == s.publicURL.Host {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet {
			http.Error(w, "this shop is at "+s.publicURL.String(), http.StatusMisdirectedRequest)
			return
		}
		target := *s.publicURL
		target.Path, target.RawQuery = r.URL.Path, r.URL.RawQuery
		http.Redirect(w, r, target.String(), http.StatusTemporaryRedirect)
	})
}

// withSecurityHeaders lets pages load the shop's own styles and pictures and
// nothing else. Browsers apply form-action to redirects too, so Tollgate, where
// "pay" leads, has to be in it.
func (s *Shop) withSecurityHeaders(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + s.tollgate.base.String()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (s *Shop) showCatalogue(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, page{Name: "catalogue", Title: "Good things for a small kitchen", Products: catalogue})
}

func (s *Shop) showBasket(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, page{Name: "basket", Title: "Your basket"})
}

func (s *Shop) addToBasket(w http.ResponseWriter, r *http.Request) {
	product, ok := findProduct(r.PostFormValue("product"))
	if !ok {
		s.showNotFound(w, r)
		return
	}
	s.sessions.addOne(s.sessions.start(w, r), product.ID)
	http.Redirect(w, r, "/basket", http.StatusSeeOther)
}

func (s *Shop) changeBasket(w http.ResponseWriter, r *http.Request) {
	product, ok := findProduct(r.PathValue("product"))
	quantity, err := strconv.Atoi(r.PostFormValue("quantity"))
	if !ok || err != nil {
		s.showNotFound(w, r)
		return
	}
	s.sessions.setQuantity(s.sessions.id(r), product.ID, quantity)
	http.Redirect(w, r, "/basket", http.StatusSeeOther)
}

func (s *Shop) showOrder(w http.ResponseWriter, r *http.Request) {
	order, ok := s.orders.find(r.PathValue("id"), s.sessions.id(r))
	if !ok {
		s.showNotFound(w, r)
		return
	}
	shown := page{Name: "order", Title: "Order " + order.Number(), Order: order}
	if order.Status == Waiting {
		shown.Refresh = refreshAfter(s.now().Sub(order.ChangedAt))
	}
	s.render(w, r, http.StatusOK, shown)
}

// refreshAfter says after how many seconds the page asks again: soon at first,
// since the webhook takes a moment, and seldom when something is wrong.
func refreshAfter(waited time.Duration) int {
	if waited < time.Minute {
		return 2
	}
	return 15
}

func (s *Shop) showNotFound(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusNotFound, page{
		Name: "message", Title: "Not here",
		Message: "There is nothing at this address. An order can only be seen in the browser that made it.",
	})
}
