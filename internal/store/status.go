package store

import "sync/atomic"

// counts are events since the start.
type counts struct {
	compactions   atomic.Int64
	compactFailed atomic.Int64
	impossible    atomic.Int64
	forgotten     atomic.Int64
	evicted       atomic.Int64
	damaged       atomic.Int64
	lost          atomic.Int64
}

// Stats are figures of the store for status document, stats and metrics.
type Stats struct {
	Items         int64  `json:"items"`          // records that are no tombstones; expired ones count until they are replaced
	Tombstones    int64  `json:"tombstones"`     //
	Bytes         int64  `json:"bytes"`          // of live entries in the log
	LogBytes      int64  `json:"log_bytes"`      // of all segment files
	Segments      int    `json:"segments"`       //
	MemoryBytes   int64  `json:"memory_bytes"`   // that max-memory bounds
	LastSeq       uint64 `json:"last_seq"`       // end of the log
	WrittenSeq    uint64 `json:"written_seq"`    // survives the death of the process
	DurableSeq    uint64 `json:"durable_seq"`    // survives the loss of power
	Compactions   int64  `json:"compactions"`    // finished since the start
	CompactFailed int64  `json:"compact_failed"` // stopped by an error
	Impossible    int64  `json:"impossible"`     // pairs of records that share a stamp but differ
	Conflicts     int64  `json:"conflicts"`      // changes dropped whole because another node had changed the key at once
	Forgotten     int64  `json:"forgotten"`      // deletes and expired records that are remembered no longer
	Evicted       int64  `json:"evicted"`        // records given up for want of memory
	Damaged       int64  `json:"damaged"`        // parts of the keys of which the disk spoilt a record
	Lost          int64  `json:"lost"`           // such records that no peer had either
	Refusal       string `json:"refusal"`        // why client writes are refused, empty = they are not
}

// Stats reads the figures.
func (s *Store) Stats() Stats {
	u := s.log.Usage()
	st := Stats{
		Items: s.items.Load(), Tombstones: s.tombs.Load(), Bytes: u.Live, LogBytes: u.Bytes, Segments: u.Segments, MemoryBytes: s.Memory(),
		Conflicts: s.conflicts.count.Load(), Forgotten: s.counts.forgotten.Load(), Evicted: s.counts.evicted.Load(),
		Damaged: s.counts.damaged.Load(), Lost: s.counts.lost.Load(),
		LastSeq: s.log.Last(), WrittenSeq: s.log.Written(), DurableSeq: s.log.Durable(),
		Compactions: s.counts.compactions.Load(), CompactFailed: s.counts.compactFailed.Load(), Impossible: s.counts.impossible.Load(),
	}
	if err := s.writable(false); err != nil {
		st.Refusal = err.Error()
	} else if err := s.gate.refuses(DefaultLevel); err != nil {
		st.Refusal = err.Error()
	}
	return st
}
