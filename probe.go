package futago

import "time"

// probePauseParts is how many probes fit into the retry interval when requests have no other server left.
const probePauseParts = 10

// startProbeLocked starts the goroutine that asks a failed server until it answers. With PHPCompatible the
// requests themselves do that.
func (s *server) startProbeLocked(atOnce bool) {
	if s.client.cfg.PHPCompatible || s.RetryInterval < 0 || s.closed || s.probing {
		return
	}
	s.probing = true
	s.client.background.Go(func() { s.probe(atOnce) })
}

// probe asks the server once for every retry interval, and sooner when kicked, and returns when it has answered
// (check has then marked it working) or the client is closed.
func (s *server) probe(atOnce bool) {
	done := s.client.ctx.Done()
	pause := s.RetryInterval / probePauseParts
	for {
		if !atOnce {
			if !sleep(done, nil, pause) || !sleep(done, s.kick, s.RetryInterval-pause) {
				return
			}
		}
		atOnce = false
		err := s.check(s.client.ctx)
		s.mu.Lock()
		if err != nil {
			s.failure = err
		}
		// The server may have failed again since it answered; then this goroutine goes on.
		s.probing = s.failed
		working := !s.failed
		s.mu.Unlock()
		if working || s.client.ctx.Err() != nil {
			return
		}
	}
}

// sleep waits for d or for kick. It returns false when done is closed.
func sleep(done, kick <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-kick:
	case <-timer.C:
	}
	return true
}

// hurry asks for an early probe of the server, if it is failed.
func (s *server) hurry() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// doubt checks in the background a server for which a request's context did not wait. If every caller is less
// patient than the timeout, a hung server would otherwise never be found out.
func (s *server) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checking || s.failed || s.closed {
		return
	}
	s.checking = true
	epoch := s.epoch
	s.client.background.Go(func() {
		err := s.check(s.client.ctx)
		s.mu.Lock()
		s.checking = false
		s.mu.Unlock()
		if err != nil && s.client.ctx.Err() == nil {
			s.fail(epoch, err)
		}
	})
}
