package rediscluster

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// listCount is how many keys a master looks at in one step of a walk. All that it finds are shown, also when fewer are wanted.
const listCount = 100

// place is where a walk is: masters are visited in the order of their ids.
type place struct {
	sum    uint64 // of who has what
	master string
	scan   uint64
}

func (p place) text() string { return fmt.Sprintf("%x-%s-%d", p.sum, p.master, p.scan) }

func parsePlace(text string) (p place, err error) {
	wrong := fmt.Errorf("cursor %.80q: want what a list gave, or none to begin", text)
	fields := strings.Split(text, "-")
	if len(fields) != 3 || len(fields[1]) > 64 {
		return p, wrong
	}
	sum, err1 := strconv.ParseUint(fields[0], 16, 64)
	scan, err2 := strconv.ParseUint(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return p, wrong
	}
	return place{sum, fields[1], scan}, nil
}

// CursorText is the place as text, with which a walk goes on later, or at another front.
func (s *Store) CursorText(c store.Cursor) string { return c.Elsewhere }

// ParseCursor reads what CursorText wrote.
func (s *Store) ParseCursor(text string) (store.Cursor, error) {
	if _, err := parsePlace(text); err != nil {
		return store.Cursor{}, err
	}
	return store.Cursor{Elsewhere: text}, nil
}

// CursorAt returns a place behind all keys: a walk cannot begin at a key.
func (s *Store) CursorAt([]byte) store.Cursor { return store.Cursor{Elsewhere: place{}.text()} }

// List goes on with a walk over all masters. What is there during the whole walk is shown, mostly once. It ends with store.ErrMoved when
// slots move meanwhile: a record could be left out.
func (s *Store) List(c *store.Cursor, show func(r *store.Listed) bool) (more bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	f, err := s.floors.now(ctx, s)
	if err != nil {
		return false, s.unreached(err)
	}
	all, err := s.whole(ctx)
	if err != nil {
		return false, s.unreached(err)
	}
	p, i := place{sum: all.sum, master: all.list[0].id}, 0
	if c.Elsewhere != "" {
		if p, err = parsePlace(c.Elsewhere); err != nil {
			return false, err
		}
		if p.master == "" {
			return false, nil
		}
		for i < len(all.list) && all.list[i].id != p.master {
			i++
		}
	}
	if all.moving || p.sum != all.sum || i == len(all.list) {
		return false, store.ErrMoved
	}
	m := all.list[i]
	page, err := m.client.Do(ctx, m.client.B().Scan().Cursor(p.scan).Match(escapeGlob(s.cfg.Prefix)+"k:*").Count(listCount).Build()).AsScanEntry()
	if err != nil {
		return false, s.lostPlace(err)
	}
	if err := s.showAll(ctx, m, page.Elements, f, show); err != nil {
		return false, err
	}
	if p.scan = page.Cursor; p.scan == 0 {
		if i+1 == len(all.list) {
			last, err := s.whole(ctx) // nothing may have moved since
			if err != nil || last.moving || last.sum != all.sum {
				return false, store.ErrMoved
			}
			c.Elsewhere = place{}.text()
			return false, nil
		}
		p.master = all.list[i+1].id
	}
	c.Elsewhere = p.text()
	return true, nil
}

// showAll shows the live records of some keys of a master, of which it reads the headers alone.
func (s *Store) showAll(ctx context.Context, m master, names []string, f floor, show func(r *store.Listed) bool) error {
	if len(names) == 0 {
		return nil
	}
	commands := make([]valkey.Completed, 0, 2*len(names))
	for _, name := range names {
		commands = append(commands, m.client.B().Getrange().Key(name).Start(0).End(headerSize-1).Build(), m.client.B().Strlen().Key(name).Build())
	}
	answers := m.client.DoMulti(ctx, commands...)
	now := time.Now()
	for i, name := range names {
		b, err := answers[2*i].AsBytes()
		size, err2 := answers[2*i+1].AsInt64()
		if err = cmp.Or(err, err2); err != nil { // not joined: it is an answer of the cluster
			if _, fault := judge(err); fault == store.ErrForeign {
				continue
			}
			return s.lostPlace(err)
		}
		h, err := parseHeader(b)
		if err != nil || f.kills(h.written, now) {
			continue // gone since, dead, or not ours
		}
		key := name[len(s.name(nil)):]
		show(&store.Listed{
			Key: []byte(key), Flags: h.flags, Size: max(int(size)-headerSize-h.typeSize, 0), Stored: int(size) + len(name), Expires: fromUnix(h.expires),
			Token: h.token, Accessed: h.written/1e6 - hlc.Epoch.Unix(),
		})
	}
	return nil
}

// lostPlace says how a walk ended: a master that sends it on has given slots away.
func (s *Store) lostPlace(err error) error {
	if answer, ok := valkey.IsValkeyErr(err); ok {
		_, moved := answer.IsMoved()
		_, asks := answer.IsAsk()
		if moved || asks || answer.IsTryAgain() {
			return store.ErrMoved
		}
	}
	return s.unreached(err)
}

// escapeGlob takes the meaning from what has one in a pattern of SCAN.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
