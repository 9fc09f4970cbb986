package server

import (
	"bytes"
	"context"
	"net"
	"slices"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/users"
)

const (
	// listInline is how many keys of one command are looked up before others have their turn.
	listInline = 256
	// miscLogin is a function of misc that the original does not have: user and password.
	miscLogin = "login"
)

// listAnswer appends the reply to a command with a list of arguments to dst; nil if the command failed.
type listAnswer func(ctx context.Context, c *cabinet.Client, dst []byte, args [][]byte) []byte

// tyrantList answers a command with a list of arguments, at once or later.
func (s *session) tyrantList(w *worker, slow bool, args [][]byte, answer listAnswer) {
	if slow {
		args, size := cloneAll(args)
		s.later(w, size, func(ctx context.Context, c *cabinet.Client) []byte { return answer(ctx, c, nil, args) })
		return
	}
	before := len(s.out)
	out := answer(w.srv.ctx, s.tt.client, s.out, args)
	s.holdWritten(w) // from where out still ends without the reply
	if out == nil || len(out)-before > smallBuffer && w.srv.crowded(int64(s.unsent())) {
		s.failTyrant(w.treq.Command)
		return
	}
	s.out = out
}

// sliceSize is what an element of a list takes besides its bytes.
const sliceSize = 24

// cloneAll copies a list into memory of its own, of so many bytes.
func cloneAll(list [][]byte) (copies [][]byte, size int) {
	for _, b := range list {
		size += len(b)
	}
	all := make([]byte, 0, size)
	copies = make([][]byte, len(list))
	for i, b := range list {
		start := len(all)
		all = append(all, b...)
		copies[i] = all[start:len(all):len(all)]
	}
	return copies, size + len(list)*sliceSize
}

// appendElements appends the reply that is a list.
func appendElements(dst []byte, list [][]byte) []byte {
	size := 8
	for _, b := range list {
		size += 4 + len(b)
	}
	reply := tyrant.AppendList(slices.Grow(dst, size), true, len(list))
	for _, b := range list {
		reply = tyrant.AppendElement(reply, b)
	}
	return reply
}

// tyrantRest executes what may take long, or is for administrators.
func (s *session) tyrantRest(w *worker) {
	r := &w.treq
	status := func(job func(ctx context.Context, c *cabinet.Client) error) {
		s.later(w, 0, func(ctx context.Context, c *cabinet.Client) []byte {
			return tyrant.AppendStatus(nil, job(ctx, c) == nil)
		})
	}
	told := func(job func(ctx context.Context, c *cabinet.Client) error) {
		srv, what := w.srv, s.action(w)
		status(func(ctx context.Context, c *cabinet.Client) error {
			err := job(ctx, c)
			srv.audit.note(what, err)
			return err
		})
	}
	switch r.Command {
	case tyrant.Misc:
		s.tyrantMisc(w)
	case tyrant.Ext:
		s.tyrantExt(w)
	case tyrant.FwmKeys:
		prefix, most := bytes.Clone(r.Key), int(r.Max)
		s.later(w, len(prefix), func(ctx context.Context, c *cabinet.Client) []byte {
			keys, err := c.FwmKeys(ctx, prefix, most)
			if err != nil {
				return nil
			}
			return appendElements(nil, keys)
		})
	case tyrant.Vanish:
		w.tally[cmdFlush]++
		told(func(_ context.Context, c *cabinet.Client) error { return c.Vanish() })
	case tyrant.Sync:
		status(func(_ context.Context, c *cabinet.Client) error { return c.Sync() })
	case tyrant.Optimize:
		told(func(ctx context.Context, c *cabinet.Client) error { return c.Optimize(ctx) })
	default:
		s.tyrantAdmin(w, told)
	}
}

// tyrantAdmin executes what is off unless the configuration allows it. told answers with what comes of a job, and notes it.
func (s *session) tyrantAdmin(w *worker, told func(job func(ctx context.Context, c *cabinet.Client) error)) {
	r, cfg := &w.treq, &w.srv.cfg
	text, from, check := string(r.Text), r.Time, r.Options&tyrant.CheckResults != 0
	switch {
	case r.Command == tyrant.Copy && cfg.Copy != nil:
		told(func(context.Context, *cabinet.Client) error { return cfg.Copy(w.srv.lasting, text) })
	case r.Command == tyrant.Restore && cfg.Restore != nil:
		told(func(ctx context.Context, c *cabinet.Client) (err error) {
			w.srv.awaitAll(c, func() { err = cfg.Restore(ctx, text, from, check) })
			return err
		})
	case r.Command == tyrant.SetMst && cfg.SetMaster != nil:
		port := int(r.Port)
		told(func(context.Context, *cabinet.Client) error { return cfg.SetMaster(text, port, from, check) })
	case r.Command == tyrant.Repl && cfg.Repl != nil && len(s.out) == 0:
		sid := r.SID
		s.audit(w, nil)
		s.takeover = func(c net.Conn) { cfg.Repl(w.srv.lasting, c, from, sid) }
		s.closing = true
	default:
		s.audit(w, errOff)
		s.failTyrant(r.Command)
	}
}

// tyrantExt calls a function of the script. Nothing that it wrote may be told of before the gate has passed the end of the log.
func (s *session) tyrantExt(w *worker) {
	r, srv := &w.treq, w.srv
	if srv.cfg.Script == nil {
		s.failTyrant(r.Command)
		return
	}
	name, lock := string(r.Name), r.Options
	args, size := cloneAll([][]byte{r.Key, r.Value})
	s.later(w, size, func(ctx context.Context, c *cabinet.Client) []byte {
		result, ok := srv.callScript(ctx, c, name, args[0], args[1], lock)
		if !ok {
			return nil
		}
		return tyrant.AppendValue(nil, result)
	})
}

// callScript calls a function of the script on behalf of a client.
func (s *Server) callScript(ctx context.Context, c *cabinet.Client, name string, key, value []byte, lock uint32) (result []byte, ok bool) {
	s.awaitAll(c, func() { result, ok = s.cfg.Script(ctx, name, key, value, lock) })
	return result, ok
}

// awaitAll does something on behalf of a client, which then waits for all that was written meanwhile.
func (s *Server) awaitAll(c *cabinet.Client, do func()) {
	before := s.store.Last()
	do()
	if end := s.store.Last(); end != before {
		c.Await(end)
	}
}

func (s *session) tyrantMisc(w *worker) {
	r := &w.treq
	name := string(r.Name)
	if name == miscLogin {
		s.tyrantLogin(w)
		return
	}
	if name == "getlist" {
		s.gather(w, r.Args)
		return
	}
	slow := cabinet.IsWalk(name, r.Args) || name == "iternext" && !s.tt.client.Ready()
	if srv, what := w.srv, s.action(w); what.command != "" {
		s.tyrantList(w, slow, r.Args, func(ctx context.Context, c *cabinet.Client, dst []byte, args [][]byte) []byte {
			reply, err := appendMisc(ctx, c, dst, name, args)
			srv.audit.note(what, err)
			return reply
		})
		return
	}
	s.tyrantList(w, slow, r.Args, func(ctx context.Context, c *cabinet.Client, dst []byte, args [][]byte) []byte {
		reply, _ := appendMisc(ctx, c, dst, name, args)
		return reply
	})
}

// appendMisc appends the reply of a function of misc; nil if it failed.
func appendMisc(ctx context.Context, c *cabinet.Client, dst []byte, name string, args [][]byte) ([]byte, error) {
	list, err := c.Misc(ctx, name, args)
	if err != nil {
		return nil, err
	}
	return appendElements(dst, list), nil
}

// tyrantLogin answers the function that says who the client is. Where everybody may do everything there are no users.
func (s *session) tyrantLogin(w *worker) {
	r := &w.treq
	if w.srv.cfg.Users == nil || len(r.Args) != 2 {
		s.failTyrant(r.Command)
		return
	}
	command := r.Command
	s.login(w, string(r.Args[0]), r.Args[1], func(s *session, _ *worker, err error) {
		if err != nil {
			s.failTyrant(command)
			return
		}
		s.out = appendElements(s.out, nil)
	})
}

// reads reports whether the user of the session may see a key.
func (s *session) reads(srv *Server, key []byte) bool { return srv.allowed(s.user, users.Read, key) }

// permittedTyrant reports whether the session's user may run the request in w.treq.
func (s *session) permittedTyrant(w *worker) bool {
	r, srv := &w.treq, w.srv
	if srv.cfg.Users == nil {
		return true
	}
	s.user = srv.cfg.Users.Current(s.user)
	if r.Command == tyrant.Misc {
		return string(r.Name) == miscLogin || srv.allowedMisc(s.user, string(r.Name), r.Args)
	}
	rights, key := tyrantRights(r), r.Key
	if r.Command == tyrant.Ext && s.user != nil && len(s.user.Prefixes) > 0 {
		return false // a script may touch every key
	}
	if r.Command == tyrant.FwmKeys {
		key = nil // its list has only what the user sees
	}
	return srv.allowed(s.user, rights, key) && srv.allowedAll(s.user, rights, r.Args)
}

// allowedAll is allowed for several keys.
func (s *Server) allowedAll(u *users.User, rights users.Rights, keys [][]byte) bool {
	return !slices.ContainsFunc(keys, func(key []byte) bool { return !s.allowed(u, rights, key) })
}

// allowedMisc is allowed for a function of misc.
func (s *Server) allowedMisc(u *users.User, name string, args [][]byte) bool {
	does, keys := cabinet.MiscRights(name, args)
	var rights users.Rights
	if does&cabinet.Reads != 0 {
		rights |= users.Read
	}
	if does&cabinet.Writes != 0 {
		rights |= users.Write
	}
	if does&cabinet.Manages != 0 {
		rights |= users.Admin
	}
	return s.allowed(u, rights, nil) && s.allowedAll(u, rights, keys)
}

// tyrantRights are what a command needs.
func tyrantRights(r *tyrant.Request) users.Rights {
	switch r.Command {
	case tyrant.Get, tyrant.MGet, tyrant.VSiz, tyrant.IterInit, tyrant.IterNext, tyrant.FwmKeys, tyrant.RNum, tyrant.Size, tyrant.Stat:
		return users.Read
	case tyrant.Put, tyrant.PutKeep, tyrant.PutCat, tyrant.PutShl, tyrant.PutNR, tyrant.Out:
		return users.Write
	case tyrant.AddInt, tyrant.AddDouble, tyrant.Ext:
		return users.Read | users.Write
	}
	return users.Admin
}
