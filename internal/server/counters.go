package server

import (
	"sync/atomic"

	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/tyrant"
)

// counter names one number that only rises.
type counter uint8

const (
	cmdGet counter = iota
	cmdSet
	cmdTouch
	cmdFlush
	getHits
	getMisses
	deleteHits
	deleteMisses
	incrHits
	incrMisses
	decrHits
	decrMisses
	casHits
	casMisses
	casBadval
	touchHits
	touchMisses
	storeTooLarge
	storeNoMemory
	itemsStored
	cmdMeta // each of them counts as what it does too
	authCmds
	authErrors
	cmdDenied  // for want of a right
	tlsOpened  // handshakes that made a session
	tlsResumed // handshakes that continued one
	tlsErrors
	cmdOther // verbs that none of the others counts
	httpGet
	httpHead
	httpPut
	httpDelete
	httpPost
	httpOptions
	httpOther
	bytesRead
	bytesWritten
	connsAccepted
	connsRejected
	idleKicks
	firstByteTimeouts
	requestTimeouts
	repliesHeld   // times that replies had to wait for the gate
	tyrantPutMiss // puts of Tokyo Tyrant that stored nothing
	cmdTyrant     // its first command; the others follow by their index

	counterCount = cmdTyrant + tyrant.Commands
)

// tally is counted by one goroutine or loop alone and handed on with publish, so that requests touch no shared memory.
type tally [counterCount]uint64

// totals is where tallies add up. Each loop has its own.
type totals struct {
	n [counterCount]atomic.Uint64

	// Of a sample, and of what runs aside, how long it took; of every round; of every reply that was held.
	times  [classes]observe.Histogram
	rounds observe.Histogram
	gate   observe.Histogram
	hot    observe.HotKeys
	big    observe.BigKeys

	_ [64]byte // the next one's first counters lie on another cache line
}

func (t *tally) publish(to *totals) {
	for i, n := range t {
		if n != 0 {
			to.n[i].Add(n)
			t[i] = 0
		}
	}
}

// count adds one where no tally is at hand, or it is published too early.
func (t *totals) count(c counter) { t.add(c, 1) }

func (t *totals) add(c counter, n int) { t.n[c].Add(uint64(n)) }

// sum returns the counters of all loops since the start.
func (s *Server) sum() tally {
	var all tally
	for _, t := range s.totals {
		for i := range all {
			all[i] += t.n[i].Load()
		}
	}
	return all
}

// sinceReset returns the counters since the last "stats reset". Metrics do not follow that command.
func (s *Server) sinceReset() tally {
	all := s.sum()
	if base := s.resetBase.Load(); base != nil {
		for i := range all {
			all[i] -= min(base[i], all[i])
		}
	}
	return all
}

func (s *Server) resetCounters() {
	base := s.sum()
	s.resetBase.Store(&base)
	s.prefixes.reset()
}

// Stats are the numbers of the client port for the status document, since the start.
type Stats struct {
	CurrConnections  int64  `json:"curr_connections"`
	TotalConnections uint64 `json:"total_connections"`
	Rejected         uint64 `json:"rejected_connections"`
	Ops              uint64 `json:"ops"`  // requests of all protocols; each key of a multi-get is one
	Gets             uint64 `json:"gets"` // keys asked for
	Sets             uint64 `json:"sets"`
	Deletes          uint64 `json:"deletes"`
	Arithmetic       uint64 `json:"arithmetic"` // incr and decr
	Touches          uint64 `json:"touches"`
	Hits             uint64 `json:"hits"`
	Misses           uint64 `json:"misses"`
	BytesRead        uint64 `json:"bytes_read"`
	BytesWritten     uint64 `json:"bytes_written"`
	Pending          int64  `json:"pending_bytes"` // bytes of unsent output and partial input
}

// Stats returns the numbers of now.
func (s *Server) Stats() Stats {
	n := s.sum()
	ops := n[cmdGet] + n[cmdSet] + n[cmdTouch] + n[cmdFlush] + n[authCmds] + n[cmdDenied] + n[cmdOther] + n[httpOptions] + n[httpPost] + n[httpOther]
	for _, c := range []counter{deleteHits, deleteMisses, incrHits, incrMisses, decrHits, decrMisses} {
		ops += n[c]
	}
	return Stats{
		CurrConnections: s.conns.Load(), TotalConnections: n[connsAccepted], Rejected: n[connsRejected], Ops: ops,
		Gets: n[cmdGet], Sets: n[cmdSet], Touches: n[cmdTouch],
		Deletes: n[deleteHits] + n[deleteMisses], Arithmetic: n[incrHits] + n[incrMisses] + n[decrHits] + n[decrMisses],
		Hits: n[getHits], Misses: n[getMisses], BytesRead: n[bytesRead], BytesWritten: n[bytesWritten], Pending: s.pending.Load(),
	}
}
