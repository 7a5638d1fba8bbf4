package main

import (
	"crypto/rand"
	"strconv"
	"sync"
	"time"
)

const maxOrders = 10_000

// Status is how far an order has come.
type Status string

// The states of an order. Only a signed webhook makes an order paid: the browser
// that comes back from the consent page is no proof of anything.
const (
	Unpaid  Status = "unpaid"
	Waiting Status = "waiting" // the customer agreed; the webhook is to come
	Paid    Status = "paid"
)

// Line is one product of an order.
type Line struct {
	Product  Product
	Quantity int
}

// Order is a basket that somebody wants to pay.
type Order struct {
	ID        string
	Owner     string // the session that may see it
	Lines     []Line
	Total     Money
	Status    Status
	Notice    string // what the customer should know
	PaymentID string // at Tollgate; "" until there is one
	Attempt   int    // goes up when a payment has ended without money
	ChangedAt time.Time
}

// Number is the short form for people.
func (o Order) Number() string { return o.ID[:8] }

// Reference names this attempt to pay. It serves as Idempotency-Key and as
// end_to_end_id: however often the request is repeated, it makes one payment.
func (o Order) Reference() string { return o.ID + "-" + strconv.Itoa(o.Attempt) }

func totalOf(lines []Line, currency string) Money {
	total := Money{Currency: currency}
	for _, line := range lines {
		total.Value += line.Product.Price * int64(line.Quantity)
	}
	return total
}

// orders keeps the orders in memory, which is enough for an example and for
// nothing else.
type orders struct {
	now func() time.Time

	mu        sync.Mutex
	byID      *recent[*Order]
	byPayment *recent[string] // order id by payment id
}

func newOrders(now func() time.Time) *orders {
	return &orders{now: now, byID: newRecent[*Order](maxOrders), byPayment: newRecent[string](maxOrders)}
}

func (o *orders) create(owner string, lines []Line, currency string) Order {
	order := &Order{
		ID: rand.Text(), Owner: owner, Lines: lines, Total: totalOf(lines, currency),
		Status: Unpaid, Attempt: 1, ChangedAt: o.now(),
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID.put(order.ID, order)
	return *order
}

// find gives a copy of the order if it belongs to the session.
func (o *orders) find(id, owner string) (Order, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order, ok := o.byID.get(id)
	if !ok || owner == "" || order.Owner != owner {
		return Order{}, false
	}
	return *order, true
}

// byPaymentID gives a copy of the order that a payment is for.
func (o *orders) byPaymentID(paymentID string) (Order, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, ok := o.byPayment.get(paymentID)
	if !ok {
		return Order{}, false
	}
	order, ok := o.byID.get(id)
	if !ok {
		return Order{}, false
	}
	return *order, true
}

// setPayment notes which payment the current attempt is.
func (o *orders) setPayment(id, paymentID string) {
	o.change(id, func(order *Order) {
		order.PaymentID = paymentID
		o.byPayment.put(paymentID, id)
	})
}

// setWaiting notes that Tollgate has the customer's word.
func (o *orders) setWaiting(id string) {
	o.change(id, func(order *Order) { order.Status, order.Notice = Waiting, "" })
}

// setPaid is for the webhook alone.
func (o *orders) setPaid(id string) {
	o.change(id, func(order *Order) { order.Status, order.Notice = Paid, "" })
}

// setNotice leaves the order unpaid and says why; the same payment can still be used.
func (o *orders) setNotice(id, notice string) {
	o.change(id, func(order *Order) { order.Status, order.Notice = Unpaid, notice })
}

// endAttempt notes that a payment has ended without money; the next one gets a
// new reference. Word of an earlier attempt changes nothing.
func (o *orders) endAttempt(id, paymentID, notice string) {
	o.change(id, func(order *Order) {
		if order.PaymentID != paymentID {
			return
		}
		order.Status, order.Notice, order.PaymentID = Unpaid, notice, ""
		order.Attempt++
	})
}

// change runs f on an order that is not paid yet: paid is the end.
func (o *orders) change(id string, f func(*Order)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if order, ok := o.byID.get(id); ok && order.Status != Paid {
		f(order)
		order.ChangedAt = o.now()
	}
}
