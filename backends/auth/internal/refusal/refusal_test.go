package refusal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

func TestOwn(t *testing.T) {
	t.Parallel()
	own := New(goidc.ErrorCodeInvalidScope, "Ours.")
	for name, err := range map[string]error{
		"plain":                       own,
		"wrapped":                     fmt.Errorf("could not save: %w", own),
		"inside one of the library's": goidc.WrapError(goidc.ErrorCodeInvalidGrant, "theirs", own),
	} {
		if got, ok := Own(err); !ok || got.Code != goidc.ErrorCodeInvalidScope || got.Description != "Ours." {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
	for name, err := range map[string]error{
		"nil": nil, "another": errors.New("x"), "the library's": goidc.NewError(goidc.ErrorCodeInvalidScope, "theirs"),
	} {
		if _, ok := Own(err); ok {
			t.Errorf("%s is taken for ours", name)
		}
	}
}
