package ulog

import "golang.org/x/sys/unix"

const (
	// aheadStep is the piece in which the system reads for somebody who goes through a segment in order.
	aheadStep = 1 << 20
	// largeEntry is the size from which an entry is read at once, and not page by page.
	largeEntry = 64 << 10

	pageMask = 4095
)

// A mapping is read at random places, so the system is told to read nothing around a page that it must fetch: with data larger
// than memory it would push out pages that are used, a hundred for each that is. Who reads in order, or a large entry, says so.

func (s *segment) advise(how int) {
	if s.mapped {
		unix.Madvise(s.data, how)
	}
}

// willNeed has the system begin to read part of a mapped file.
func (s *segment) willNeed(from, to int64) {
	if s.mapped {
		from &^= pageMask
		unix.Madvise(s.data[from:min(to, s.size)], unix.MADV_WILLNEED)
	}
}

// ahead is one pass over a segment in order.
type ahead struct{ next int64 }

// at tells where in s the pass has come.
func (a *ahead) at(s *segment, off int64) {
	if off < a.next {
		return
	}
	from := off &^ (aheadStep - 1)
	a.next = from + aheadStep
	s.willNeed(from, from+2*aheadStep)
}
