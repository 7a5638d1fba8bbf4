package limit

// What an engine says to a store that many nodes share, and what it hears.

// batch is what goes to the store at once. All of it has one scope.
type batch struct {
	scope string
	node  string // who asks
	nodes int64  // how many nodes share the limits
	epoch int64  // of the store, as far as the node knows: zero for any
	// gives numbers the batches of a node that give units back, or is zero. The store
	// follows each number once and in order: a batch that came twice would give back
	// what others have debited.
	gives int64
	ops   []op
}

// op is one step of a batch.
type op struct {
	code opCode
	asks []ask // one, unless it is a take
}

type opCode int64

const (
	opTake   opCode = 1 // debit all asks, or none
	opGive   opCode = 2 // credit need units to the bucket
	opCharge opCode = 3 // debit need units of an age, whether there is room or not
	opRead   opCode = 4 // look
	opDrop   opCode = 5 // forget
	opHold   opCode = 6 // concurrency: the node holds need slots
)

// ask is what a batch says of one subject.
type ask struct {
	limit *Limit
	key   string // bounded
	need  int64
	want  int64 // take: so many more on lease, if there are
	at    int64 // give: the bucket. Charge: the age in microseconds. Hold: its number, which grows
}

// result is the store's word on a batch.
type result struct {
	// epoch is when the store's memory of the scope began. When it is not the one that
	// the batch named, nothing was done.
	epoch   int64
	answers []answer // to the asks of takes and reads, in order
	allowed []bool   // of the takes, in order
}

// answer is the store's word on one ask.
type answer struct {
	short  bool
	extra  int64 // on lease, beside the need
	used   int64 // after the decision
	wait   int64 // microseconds until the need fits, or else until a unit comes back
	bucket int64 // of the debit
	left   int64 // microseconds until what was debited is void, or zero
}

// remote is a store that many nodes share. A call ends in done exactly once, on any
// goroutine, and no batch is ever sent twice.
type remote interface {
	send(b *batch, done func(*result, error))
	// beat says that the node is alive, or with leave that it goes, and hears how many are.
	beat(node string, leave bool, done func(nodes int, err error))
}

// answered says whether the store answers the asks of an op.
func (c opCode) answered() bool { return c == opTake || c == opRead }
