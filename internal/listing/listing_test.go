package listing

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/futago/futago/internal/store"
)

// broken is a store whose lists fail.
type broken struct{ err error }

func (broken) ParseCursor(text string) (store.Cursor, error) {
	return store.Cursor{}, fmt.Errorf("cursor %q", text)
}
func (broken) CursorText(store.Cursor) string { return "" }
func (b broken) List(*store.Cursor, func(*store.Listed) bool) (bool, error) {
	return true, b.err
}

// TestRefusals: a list that cannot be whole is none. Answers with keys are tested where there are stores.
func TestRefusals(t *testing.T) {
	for _, x := range []struct {
		err   error
		query string
		want  int
	}{
		{store.ErrMoved, "", 409},
		{store.ErrUnreached, "", 503},
		{errors.New("something else"), "limit=10000", 503},
		{nil, "cursor=x", 400},
		{nil, "limit=0", 400},
		{nil, "limit=10001", 400},
		{nil, "limit=x", 400},
	} {
		w := httptest.NewRecorder()
		(&Lister{Store: broken{x.err}}).Serve(w, httptest.NewRequest("GET", "/keys?"+x.query, nil), nil)
		if w.Code != x.want {
			t.Errorf("%v, query %q: %d %s, want %d", x.err, x.query, w.Code, w.Body, x.want)
		}
	}
}
