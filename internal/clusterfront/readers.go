package clusterfront

import (
	"fmt"
	"net/http"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/users"
)

// toReaders has serve tell of keys to who may read, as far as sees says yes to them; nil: to all.
func (f *Front) toReaders(serve func(w http.ResponseWriter, r *http.Request, sees func(key []byte) bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var sees func(key []byte) bool
		if all := f.guard.Users(); all != nil {
			u := access.UserOf(r)
			if !u.Has(users.Read) {
				http.Error(w, fmt.Sprintf("user %s may not read", u.Name), http.StatusForbidden)
				return
			}
			sees = func(key []byte) bool {
				now := all.Current(u) // the file may have been read again
				return now != nil && now.Has(users.Read) && now.Reaches(key)
			}
		}
		serve(w, r, sees)
	}
}
