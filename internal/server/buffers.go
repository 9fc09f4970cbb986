package server

const (
	smallBuffer = 4 << 10
	keptBuffer  = 64 << 10 // larger ones go to the collector
	keptBuffers = 256
)

// buffers are spare ones of one loop, the last used first.
type buffers struct{ free [][]byte }

// take returns an empty buffer with room for size bytes.
func (b *buffers) take(size int) []byte {
	if n := len(b.free); n > 0 && cap(b.free[n-1]) >= size {
		buf := b.free[n-1]
		b.free[n-1] = nil
		b.free = b.free[:n-1]
		return buf
	}
	return make([]byte, 0, max(size, smallBuffer))
}

// give takes back a buffer that nobody uses any more.
func (b *buffers) give(buf []byte) {
	if cap(buf) >= smallBuffer && cap(buf) <= keptBuffer && len(b.free) < keptBuffers {
		b.free = append(b.free, buf[:0])
	}
}
