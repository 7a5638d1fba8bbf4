// Package fault names the points at which a crash test kills the process. Only
// a build with the tag "fault" can die there; in every other build At is empty.
package fault

// The named points.
const (
	BeforeCommit     = "before_commit"      // everything is written, nothing is committed
	AfterCommit      = "after_commit"       // committed, and the caller not answered
	AfterClaim       = "after_claim"        // a worker has leases, and has done nothing
	BeforeWorkCommit = "before_work_commit" // a worker has written everything and committed nothing
	AfterWorkCommit  = "after_work_commit"  // a worker has committed, and woken nobody
	AfterSend        = "after_send"         // a webhook was taken, and that is not noted
)

// Points are all of them.
var Points = []string{BeforeCommit, AfterCommit, AfterClaim, BeforeWorkCommit, AfterWorkCommit, AfterSend}
