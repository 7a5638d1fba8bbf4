package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads nanoseconds, or Go's text with days as Caddy has them ("1d12h").
func parseDuration(raw []byte) (time.Duration, error) {
	var number int64
	if json.Unmarshal(raw, &number) == nil {
		return time.Duration(number), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, fmt.Errorf("duration %s: %w", raw, err)
	}
	var days time.Duration
	if before, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseFloat(before, 64)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", text, err)
		}
		days, text = time.Duration(n*24*float64(time.Hour)), after
		if text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	return days + d, err
}
