package main

import "container/list"

// recent is a map that keeps the most recently written or read entries and
// forgets the oldest ones, so that nobody can fill the memory. It is not safe
// for concurrent use: its owner holds a lock.
type recent[V any] struct {
	max     int
	order   *list.List // of entry[V], the newest in front
	entries map[string]*list.Element
}

type entry[V any] struct {
	key   string
	value V
}

func newRecent[V any](max int) *recent[V] {
	return &recent[V]{max: max, order: list.New(), entries: make(map[string]*list.Element)}
}

func (r *recent[V]) get(key string) (V, bool) {
	element, ok := r.entries[key]
	if !ok {
		var none V
		return none, false
	}
	r.order.MoveToFront(element)
	return element.Value.(entry[V]).value, true
}

func (r *recent[V]) put(key string, value V) {
	r.remove(key)
	if r.order.Len() >= r.max {
		r.remove(r.order.Back().Value.(entry[V]).key)
	}
	r.entries[key] = r.order.PushFront(entry[V]{key, value})
}

func (r *recent[V]) remove(key string) {
	if element, ok := r.entries[key]; ok {
		r.order.Remove(element)
		delete(r.entries, key)
	}
}

// take reads an entry and removes it: for values that count once.
func (r *recent[V]) take(key string) (V, bool) {
	value, ok := r.get(key)
	r.remove(key)
	return value, ok
}
