package token

import "sync"

// kept is what others have made of a token. It goes when the token does: with the memory
// of verified tokens, once that no longer stands by it. A pointer to it, so that tests can
// copy tokens; a token that nobody has verified keeps nothing.
type kept struct{ values sync.Map }

// Keep gives what was made of the token for this key, or makes it. The key is a pointer
// of whoever keeps something, and there are few of them.
func (t *Token) Keep(key any, make func() any) any {
	if t.kept == nil {
		return make()
	}
	if value, ok := t.kept.values.Load(key); ok {
		return value
	}
	value, _ := t.kept.values.LoadOrStore(key, make())
	return value
}
