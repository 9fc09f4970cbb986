package server

import "github.com/futago/futago/internal/users"

// allowed reports whether a user may do what needs these rights, with key where there is one. Without a file of users everybody
// may do everything.
func (s *Server) allowed(u *users.User, rights users.Rights, key []byte) bool {
	return s.cfg.Users == nil || u.May(rights, key)
}
