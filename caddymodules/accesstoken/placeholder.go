package accesstoken

import (
	"encoding/json"
	"strings"

	"github.com/open-tollgate/tollgate/internal/token"
)

// claimPrefix is where the placeholders of single claims begin.
const claimPrefix = "http.auth.token."

// caller answers for the placeholders. Nothing is looked up before one is used.
type caller struct{ token *token.Token }

func (c caller) placeholder(key string) (any, bool) {
	switch key {
	case "http.auth.user.id":
		return c.token.Subject, true
	case "http.auth.client.id":
		return c.token.ClientID, true
	}
	name, ok := strings.CutPrefix(key, claimPrefix)
	if !ok {
		return nil, false
	}
	value, present := c.token.Claim(name)
	if !present {
		return nil, true // known to be empty
	}
	return claimText(value), true
}

// claimText gives strings, numbers and booleans as they are; lists and objects as JSON.
func claimText(value any) any {
	switch value := value.(type) {
	case string, bool:
		return value
	case json.Number:
		return value.String()
	default:
		text, err := json.Marshal(value)
		if err != nil {
			return nil
		}
		return string(text)
	}
}
