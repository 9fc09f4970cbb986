package mirror

import "time"

// keepFor is how long the log is kept for a server that follows no more; as long as deletes by default. Nobody tells that it will not
// return.
const keepFor = 24 * time.Hour

// attendance is which servers follow, and which have been gone for less than keepFor.
type attendance struct {
	keepFor time.Duration
	present map[int]int         // connections
	gone    map[int]*time.Timer // that forgets it
}

// arrives notes a connection of a server.
func (s *Source) arrives(sid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present[sid]++
	if t := s.gone[sid]; t != nil {
		t.Stop()
		delete(s.gone, sid)
	}
}

// leaves notes the end of one. After a time without any the log is not kept for it; should it return then, it gets what there is, or a
// copy.
func (s *Source) leaves(sid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present[sid]--; s.present[sid] > 0 {
		return
	}
	delete(s.present, sid)
	var t *time.Timer
	t = time.AfterFunc(s.keepFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.gone[sid] != t {
			return // it was here meanwhile
		}
		delete(s.gone, sid)
		s.store.Release(-sid)
		s.logger.Warn("log is kept no longer for a Tokyo Tyrant server that has not followed for long", "sid", sid, "for", s.keepFor)
	})
	s.gone[sid] = t
}
