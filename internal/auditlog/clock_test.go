package auditlog

import (
	"testing"
	"time"
)

// A clock that is set back is no fault of the log: the order of its records is that of the
// tree. That it was is told.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]time.Duration{"a second": time.Second, "over the start of a segment": 3 * time.Hour, "years": 3 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			now := &clock{at: noon}
			c := Config{Dir: dir, Origin: origin, SegmentAge: time.Hour, Now: now.now}
			l := idle(t, c)
			for n := range 5 {
				now.add(40 * time.Minute)
				l.Append(decision(n))
				flush(t, l)
			}
			now.add(-back)
			for n := range 5 {
				l.Append(decision(n))
				flush(t, l)
				now.add(40 * time.Minute)
			}
			closeLog(t, l)
			now.add(-10 * time.Hour)
			closeLog(t, idle(t, c)) // and once more, where a process ends and another starts
			report, err := Verify(dir, verifierOf(t, dir), Expect{})
			if err != nil {
				t.Fatal(err)
			}
			if report.ClockSetBack != 2 {
				t.Errorf("the clock was set back %d times", report.ClockSetBack)
			}
			if firsts, err := segments(dir); err != nil || len(firsts) < 4 {
				t.Errorf("segments end by their age before the clock was set back, and after: %v, %v", firsts, err)
			}
		})
	}
}
