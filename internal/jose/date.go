package jose

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// maxTime is the end of the year 9999.
const maxTime = 253402300799

// NumericDate reads a time claim (RFC 7519 section 2): a JSON number of seconds,
// within what a time can be.
func NumericDate(value any) (time.Time, error) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: no number", ErrMalformed)
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		return time.Time{}, fmt.Errorf("%w: no time", ErrMalformed)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}
