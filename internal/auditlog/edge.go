package auditlog

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a Merkle tree (RFC 6962 section 2.1): the complete
// subtrees that a tree of this size is made of. It is all that is needed to add a
// record and to give the root, so a tree of any size is computed in bounded memory.
//
// A tree of size n has a subtree of 2^l records for each bit l that is set in n.
type edge struct {
	size   int64
	levels [63]tlog.Hash // levels[l] counts only while bit l of size is set
}

// add adds a record by its hash, and gives the hashes that become complete with it:
// the record's own first, then those of the subtrees that it closes. In this order
// golang.org/x/mod/sumdb/tlog stores them.
func (e *edge) add(record tlog.Hash, into []tlog.Hash) []tlog.Hash {
	h := record
	into = append(into, h)
	level := 0
	for ; e.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(e.levels[level], h)
		into = append(into, h)
	}
	e.levels[level] = h
	e.size++
	return into
}

// root gives the hash of the whole tree.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // the hash of nothing; cannot fail
		return h
	}
	level := bits.TrailingZeros64(uint64(e.size))
	h := e.levels[level]
	for level++; e.size>>level != 0; level++ {
		if e.size>>level&1 == 1 {
			h = tlog.NodeHash(e.levels[level], h)
		}
	}
	return h
}

// node gives the hash of the n-th subtree of a level, if it is part of this edge.
func (e *edge) node(level int, n int64) (tlog.Hash, bool) {
	if level >= len(e.levels) || e.size>>level&1 == 0 || e.size>>level-1 != n {
		return tlog.Hash{}, false
	}
	return e.levels[level], true
}

// hashes lists the subtrees, the largest first.
func (e *edge) hashes() []tlog.Hash {
	var list []tlog.Hash
	for level := len(e.levels) - 1; level >= 0; level-- {
		if e.size>>level&1 == 1 {
			list = append(list, e.levels[level])
		}
	}
	return list
}

var errEdge = errors.New("the hashes do not make a tree of this size")

// newEdge is the reverse of hashes. Whether they are the right ones shows at the root.
func newEdge(size int64, hashes []tlog.Hash) (edge, error) {
	e := edge{size: size}
	if size < 0 || len(hashes) != bits.OnesCount64(uint64(size)) {
		return e, fmt.Errorf("%w: %d hashes for %d records", errEdge, len(hashes), size)
	}
	for level := len(e.levels) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			e.levels[level], hashes = hashes[0], hashes[1:]
		}
	}
	return e, nil
}
