package main

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

const (
	sessionCookie   = "corner_shop"
	sessionLifetime = 24 * time.Hour
	maxSessions     = 10_000
	maxConsents     = 8 // started at the same time in one browser
	maxQuantity     = 9
)

// session is what the shop remembers of one browser. The cookie holds only a
// random name for it.
type session struct {
	basket   map[string]int             // quantity by product id
	consents *recent[consentInProgress] // by state
}

// sessions keeps them in memory. They begin when something is put into the
// basket, so a crawler leaves none behind.
type sessions struct {
	secure bool

	mu   sync.Mutex
	byID *recent[*session]
}

func newSessions(secure bool) *sessions {
	return &sessions{secure: secure, byID: newRecent[*session](maxSessions)}
}

// id gives the browser's session id, or "" if it has none.
func (s *sessions) id(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID.get(cookie.Value); !ok {
		return ""
	}
	return cookie.Value
}

// start gives the browser's session id and begins a session where there is none.
// SameSite=Lax lets the cookie come along when Tollgate sends the browser back.
func (s *sessions) start(w http.ResponseWriter, r *http.Request) string {
	id := s.id(r)
	if id == "" {
		id = rand.Text()
		s.mu.Lock()
		s.byID.put(id, &session{basket: map[string]int{}, consents: newRecent[consentInProgress](maxConsents)})
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", MaxAge: int(sessionLifetime / time.Second),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
	return id
}

// use runs f on the session under the lock; without a session it does nothing.
func (s *sessions) use(id string, f func(*session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.byID.get(id); ok {
		f(found)
	}
}

// setQuantity puts that many of a product into the basket; zero takes it out.
func (s *sessions) setQuantity(id, product string, quantity int) {
	s.use(id, func(found *session) {
		if quantity <= 0 {
			delete(found.basket, product)
			return
		}
		found.basket[product] = min(quantity, maxQuantity)
	})
}

// addOne puts one more of a product into the basket.
func (s *sessions) addOne(id, product string) {
	s.use(id, func(found *session) { found.basket[product] = min(found.basket[product]+1, maxQuantity) })
}

// lines gives the basket as the lines of an order, in the catalogue's order.
func (s *sessions) lines(id string) []Line {
	var lines []Line
	s.use(id, func(found *session) { lines = linesOf(found.basket) })
	return lines
}

// takeLines gives the basket's lines and empties it in one step, so that a
// double click makes one order.
func (s *sessions) takeLines(id string) []Line {
	var lines []Line
	s.use(id, func(found *session) {
		lines = linesOf(found.basket)
		clear(found.basket)
	})
	return lines
}

func linesOf(basket map[string]int) []Line {
	var lines []Line
	for _, product := range catalogue {
		if quantity := basket[product.ID]; quantity > 0 {
			lines = append(lines, Line{Product: product, Quantity: quantity})
		}
	}
	return lines
}

// putConsent remembers, for this browser alone, what it was sent away for.
func (s *sessions) putConsent(id string, consent consentInProgress) {
	s.use(id, func(found *session) { found.consents.put(consent.State, consent) })
}

// takeConsent gives what the browser was sent away for. A state counts once.
func (s *sessions) takeConsent(id, state string) (consent consentInProgress, ok bool) {
	s.use(id, func(found *session) { consent, ok = found.consents.take(state) })
	return consent, ok
}
