package node

import (
	"time"

	"github.com/futago/futago/internal/observe"
)

// slowLine is how far apart the lines about slow requests are in the log, at least.
const slowLine = time.Minute

// slowWatch tells the log of slow requests.
type slowWatch struct {
	said uint64    // how many the log was told of
	next time.Time // when it may be told of more
}

// look says in the log how many requests were slow since the last line, without keys, which are for those who may read them.
func (w *slowWatch) look(n *Node, now time.Time) {
	log, count := n.server.SlowLog(), uint64(0)
	for wait := range observe.Waits {
		count += log.Count(wait)
	}
	fresh := count - w.said
	if fresh == 0 || now.Before(w.next) {
		return
	}
	var worst observe.Slow
	for i, s := range log.Recent(int(min(fresh, 1<<20))) {
		if i == 0 || s.Took > worst.Took {
			worst = s
		}
	}
	w.said, w.next = count, now.Add(slowLine)
	facts := []any{"count", fresh, "slowest", worst.Took.Round(time.Microsecond), "command", worst.Command, "waited_for", worst.Reason}
	if worst.Client != "" { // a round of a network loop has none
		facts = append(facts, "remote", worst.Client)
	}
	n.logger.Warn("requests were slow: GET /slow of the admin port, or futago slow, lists them", facts...)
}
