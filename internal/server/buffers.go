package server

const (
	smallBuffer = 4 << 10
	keptBuffer  = 64 << 10 // larger ones are large
	keptBuffers = 256

	// keptLarge bounds the large spare ones together, in bytes. What is more goes to the collector: new memory for a large reply costs
	// more than the copy.
	keptLarge = 16 << 20
)

// buffers are spare ones of one loop, the last used first.
type buffers struct {
	free  [][]byte // up to keptBuffer
	large [][]byte
	held  int // bytes in large
}

// take returns an empty buffer with room for size bytes.
func (b *buffers) take(size int) []byte {
	list := &b.free
	if size > keptBuffer {
		list = &b.large
	}
	for i := len(*list) - 1; i >= 0; i-- {
		buf := (*list)[i]
		if cap(buf) >= size {
			last := len(*list) - 1
			(*list)[i] = (*list)[last]
			(*list)[last] = nil
			*list = (*list)[:last]
			if size > keptBuffer {
				b.held -= cap(buf)
			}
			return buf
		}
		if size <= keptBuffer {
			break
		}
	}
	return make([]byte, 0, max(size, smallBuffer))
}

// give takes back a buffer that nobody uses any more.
func (b *buffers) give(buf []byte) {
	switch size := cap(buf); {
	case size < smallBuffer:
	case size <= keptBuffer:
		if len(b.free) < keptBuffers {
			b.free = append(b.free, buf[:0])
		}
	case b.held+size <= keptLarge:
		b.large = append(b.large, buf[:0])
		b.held += size
	}
}

// replyHead is room for what stands around a value in a reply, in bytes.
const replyHead = 1 << 10

// roomFor reports whether there is room for a reply with a value of n bytes: not when the connections together hold all that they may.
func (s *session) roomFor(w *worker, n int) bool {
	return n <= smallBuffer || !w.srv.crowded(int64(s.unsent()))
}

// appendBody appends a value for which there is room, and what stands behind it.
func (s *session) appendBody(w *worker, value []byte, tail string) {
	if need := len(s.out) + len(value) + replyHead; len(value) > keptBuffer && w.buffers != nil && cap(s.out) < need {
		out := append(w.buffers.take(need), s.out...)
		w.buffers.give(s.out)
		s.out = out
	}
	s.out = append(append(s.out, value...), tail...)
}

// sendBody is appendBody where nothing can take the reply back, so that what has been appended may leave. When there is much of it,
// it does so with the value, uncopied, as far as the client takes it at once.
func (s *session) sendBody(w *worker, value []byte, tail string) {
	if w.sender != nil && s.unsent()+len(value) > keptBuffer {
		n := w.sender.sendNow(value, tail)
		value, tail = value[min(n, len(value)):], tail[max(n-len(value), 0):]
	}
	s.appendBody(w, value, tail)
}
