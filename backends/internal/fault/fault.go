// Package fault names the points at which a crash test kills the process. Only
// a build with the tag "fault" can die there; in every other build At is empty.
package fault

// The named points.
const (
	BeforeCommit = "before_commit" // everything is written, nothing is committed
	AfterCommit  = "after_commit"  // committed, and the caller not answered
	AfterSend    = "after_send"    // a webhook was taken, and that is not noted
)
