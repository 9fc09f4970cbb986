package ulog

import (
	"fmt"
	"time"
)

// releaseStep is how many written bytes of the append buffer are kept before their memory is given back.
const releaseStep = 8 << 20

// Commit starts making everything appended as safe as the policy demands. With Always a committer does it, otherwise the
// caller hands the bytes to the OS itself: one write(2) for all that was appended meanwhile.
func (l *Log) Commit() {
	if l.cfg.Policy == Always {
		select {
		case l.kick <- struct{}{}:
		default:
		}
		return
	}
	l.Flush()
}

// Flush hands all that was appended to the OS. It survives the death of the process then.
func (l *Log) Flush() {
	if l.written.Load() == l.last.Load() {
		return
	}
	l.flushMu.Lock()
	rose := l.flushLocked()
	l.flushMu.Unlock()
	if rose {
		l.notify()
	}
}

func (l *Log) flushLocked() bool {
	before := l.written.Load()
	for l.failure.Load() == nil {
		l.mu.Lock()
		seg := l.pending[0]
		used, last, more := seg.used.Load(), seg.last.Load(), len(l.pending) > 1
		l.mu.Unlock()
		if from := seg.written.Load(); from < used {
			if _, err := seg.file.WriteAt(seg.buf[from:used], from); err != nil {
				l.fail(fmt.Errorf("write segment %s at %d: %w", seg.name(), from, err))
				break
			}
			seg.written.Store(used)
			l.markDirty(seg)
			l.written.Store(last)
		}
		if !more {
			l.release(seg, used)
			break
		}
		l.markDirty(seg) // a segment that a restart went on with may be left without a new entry: it is to be sealed as well
		l.mu.Lock()
		l.pending = l.pending[1:]
		l.mu.Unlock()
		l.release(seg, seg.size)
	}
	return l.written.Load() > before
}

// release gives the memory of the append buffer back in steps, once no reader can be in it.
func (l *Log) release(seg *segment, to int64) {
	if l.cfg.Quiesce == nil || !seg.mapped || to != seg.size && to < seg.released+2*releaseStep {
		return
	}
	l.cfg.Quiesce()
	if to != seg.size {
		to -= releaseStep
	}
	seg.releaseBuffer(to)
}

func (l *Log) markDirty(seg *segment) {
	l.dirtyMu.Lock()
	if n := len(l.dirty); n == 0 || l.dirty[n-1] != seg {
		l.dirty = append(l.dirty, seg)
	}
	l.dirtyMu.Unlock()
}

// Sync makes all that was handed to the OS durable.
func (l *Log) Sync() error {
	l.syncMu.Lock()
	err := l.syncLocked()
	l.syncMu.Unlock()
	if err == nil {
		l.notify()
	}
	return err
}

func (l *Log) syncLocked() error {
	if err := l.Failed(); err != nil {
		return err
	}
	target := l.written.Load()
	for seg := l.firstDirty(); seg != nil; {
		if err := l.Failed(); err != nil {
			return err
		}
		if to := seg.written.Load(); to > seg.synced {
			if err := seg.file.Sync(); err != nil {
				l.fail(fmt.Errorf("sync segment %s: %w", seg.name(), err))
				return l.Failed()
			}
			seg.synced = to
		}
		next := l.nextDirty(seg)
		if next == nil {
			break
		}
		seg = next
	}
	if target > l.durable.Load() {
		l.durable.Store(target)
	}
	return nil
}

func (l *Log) firstDirty() *segment {
	l.dirtyMu.Lock()
	defer l.dirtyMu.Unlock()
	if len(l.dirty) == 0 {
		return nil
	}
	return l.dirty[0]
}

// nextDirty returns the segment to sync after seg, which is still the first one when it was written to meanwhile; nil
// when seg is synced and the newest. A full segment is passed on to be sealed.
func (l *Log) nextDirty(seg *segment) *segment {
	l.dirtyMu.Lock()
	defer l.dirtyMu.Unlock()
	if len(l.dirty) == 1 {
		return nil
	}
	if seg.synced < seg.written.Load() { // full by now, flushLocked goes on to the next only then
		return seg
	}
	l.dirty = l.dirty[1:]
	l.sealing = append(l.sealing, seg)
	l.seals.wake()
	return l.dirty[0]
}

// rotated reports whether a full segment waits for its sync.
func (l *Log) rotated() bool {
	l.dirtyMu.Lock()
	defer l.dirtyMu.Unlock()
	return len(l.dirty) > 1
}

// commitLoop serves Policy Always: whole groups are written and synced.
func (l *Log) commitLoop() {
	defer l.done.Done()
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			l.Flush()
			if err := l.Sync(); err != nil {
				return
			}
		}
	}
}

// syncLoop serves Policy Interval, and bounds what Never leaves unsynced at a rotation.
func (l *Log) syncLoop() {
	defer l.done.Done()
	tick := time.NewTicker(l.cfg.SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.Flush()
			if l.written.Load() > l.durable.Load() && (l.cfg.Policy == Interval || l.rotated()) {
				if err := l.Sync(); err != nil {
					return
				}
			}
		}
	}
}
