package idempotency

import (
	"context"
	"errors"
	"testing"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	l := newLanes()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	take := func(client string) func() {
		t.Helper()
		done, err := l.take(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	full := func(client string) {
		t.Helper()
		// What is free and what is over are chosen between by chance.
		for range 20 {
			if done, err := l.take(over, client); err == nil {
				done()
				t.Fatalf("%s has one more", client)
			} else if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
	}
	var done []func()
	for range perClient {
		done = append(done, take("shop"))
	}
	full("shop")
	for range inAll - perClient {
		done = append(done, take("books"))
	}
	full("books")
	full("third")
	waits := make(chan func())
	go func() { waits <- take("third") }()
	done[0]() // the shop's makes room for whoever waits
	third := <-waits
	full("shop")
	third()
	for _, end := range done[1:] {
		end()
	}
	if len(l.of) != 0 || len(l.all) != 0 {
		t.Errorf("left: %v, %d", l.of, len(l.all))
	}
}
