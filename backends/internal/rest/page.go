package rest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/problem"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// Page is the part of a list that is asked for: Limit items behind the id After.
type Page struct {
	Limit int
	After string // empty for the first page
}

// ReadPage reads the query parameters limit and cursor. A limit that is too large
// is cut; one that makes no sense is refused, like a cursor that is not ours.
func ReadPage(r *http.Request) (Page, error) {
	query := r.URL.Query()
	page := Page{Limit: defaultLimit}
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil && !errors.Is(err, strconv.ErrRange) || limit < 0 {
			return Page{}, badParameter("limit", "must be a whole number of at least 0")
		}
		if limit > 0 {
			page.Limit = min(limit, maxLimit)
		}
	}
	if cursor := query.Get("cursor"); cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(raw) != len(uuid.UUID{}) {
			return Page{}, badParameter("cursor", "is not a next_cursor of this list")
		}
		page.After = uuid.UUID(raw).String()
	}
	return page, nil
}

func badParameter(name, detail string) error {
	return problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is not valid.").
		WithErrors(problem.FieldError{Pointer: name, Detail: detail})
}

// List is a page as it is answered. There are no totals: counting costs more than
// anybody needs it.
type List[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"` // none: this is the last page
}

// NewList makes the answer from up to Limit+1 items: the one too many tells that
// there is another page. id gives an item's UUID.
func NewList[T any](page Page, items []T, id func(T) string) List[T] {
	if len(items) <= page.Limit {
		return List[T]{Data: append([]T{}, items...)} // never null
	}
	items = items[:page.Limit]
	last := uuid.MustParse(id(items[len(items)-1])) // the ids are our own
	return List[T]{Data: items, NextCursor: base64.RawURLEncoding.EncodeToString(last[:])}
}
