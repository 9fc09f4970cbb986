package server

import (
	"strconv"

	"github.com/futago/futago/internal/memcache"
)

// There are no slabs: one class stands for the whole store. What would say how memcached's lists move is left out; 0 is shown
// only for what cannot happen here, and as age, which is not kept.

// itemStats lists the records by slab class.
func (s *Server) itemStats(l *statList) {
	n, st := s.sinceReset(), s.store.Stats()
	if st.Items == 0 {
		return
	}
	for _, v := range []struct {
		name  string
		value uint64
	}{
		{"number", uint64(st.Items)}, {"number_hot", 0}, {"number_warm", 0}, {"number_cold", uint64(st.Items)},
		{"age_hot", 0}, {"age_warm", 0}, {"age", 0}, {"mem_requested", uint64(st.Bytes)},
		{"evicted", uint64(st.Evicted)}, {"outofmemory", n[storeNoMemory]}, {"tailrepairs", 0},
		{"reclaimed", 0}, {"evicted_active", 0}, {"crawler_reclaimed", 0}, {"direct_reclaims", 0},
	} {
		l.num("items:"+strconv.Itoa(memcache.SlabClass)+":"+v.name, v.value)
	}
}

// slabStats lists the memory of the slab classes: a chunk is a record of average size, a page a segment.
func (s *Server) slabStats(l *statList) {
	n, st := s.sinceReset(), s.store.Stats()
	if st.Items == 0 {
		l.num("active_slabs", 0)
		l.num("total_malloced", 0)
		return
	}
	used, pages := uint64(st.Items), uint64(max(st.Segments, 1))
	chunk := max(uint64(st.Bytes)/used, 1)
	total := max(uint64(st.LogBytes)/chunk, used)
	for _, v := range []struct {
		name  string
		value uint64
	}{
		{"chunk_size", chunk}, {"chunks_per_page", total / pages}, {"total_pages", pages}, {"total_chunks", total},
		{"used_chunks", used}, {"free_chunks", total - used}, {"free_chunks_end", 0},
		{"get_hits", n[getHits]}, {"cmd_set", n[cmdSet]}, {"delete_hits", n[deleteHits]}, {"incr_hits", n[incrHits]},
		{"decr_hits", n[decrHits]}, {"cas_hits", n[casHits]}, {"cas_badval", n[casBadval]}, {"touch_hits", n[touchHits]},
	} {
		l.num(strconv.Itoa(memcache.SlabClass)+":"+v.name, v.value)
	}
	l.num("active_slabs", 1)
	l.num("total_malloced", uint64(st.LogBytes))
}
