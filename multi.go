package futago

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/futago/futago/internal/memcache"
)

// getLineMax bounds one get line, in bytes; more keys go out on further lines. futago takes 1 MiB.
const getLineMax = 512 << 10

// GetMulti returns the items of all keys that exist, by key as the caller writes it. Every server is asked once,
// all at the same time; if one fails, the keys that it did not answer are asked elsewhere. When some could not be
// asked anywhere, the error says why, and the map still holds the items that were found; the map is never nil.
// An invalid key makes the whole call fail before anything is sent.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	items := make(map[string]*Item, len(keys))
	if err := c.ready(ctx); err != nil {
		return items, err
	}
	// wanted maps a key on the wire to those of the caller: with PHPCompatible several may become one.
	wanted := make(map[string][]string, len(keys))
	var pending []*route
	var coded []string
	for _, key := range keys {
		wire, err := c.wireKey(key)
		if err != nil {
			return items, err
		}
		if c.coded(wire) {
			coded = append(coded, key)
			continue
		}
		if wanted[wire] == nil {
			r := c.pool.route(wire)
			pending = append(pending, &r)
		}
		if !slices.Contains(wanted[wire], key) {
			wanted[wire] = append(wanted[wire], key)
		}
	}
	var errs []error
	for _, key := range coded {
		item, err := c.Get(ctx, key)
		if err == nil {
			items[key] = item
		} else if err != ErrCacheMiss {
			errs = append(errs, err)
		}
	}
	for len(pending) > 0 {
		batches, lost := batch(pending)
		errs = append(errs, lost...)
		pending = nil
		ask(ctx, batches)
		for _, b := range batches {
			for wire, item := range b.found {
				for i, key := range wanted[wire] {
					own := *item
					own.Key = key
					if i > 0 {
						own.Value = slices.Clone(item.Value)
					}
					items[key] = &own
				}
			}
			if b.failure == nil {
				if b.answer != nil {
					errs = append(errs, b.answer)
				}
				continue
			}
			if ctx.Err() != nil || errors.Is(b.failure.err, ErrClosed) {
				errs = append(errs, b.failure.err)
				continue
			}
			for _, r := range b.routes {
				if b.found[r.key] == nil {
					r.failures = append(r.failures, b.failure.err)
					pending = append(pending, r)
				}
			}
		}
	}
	if len(errs) > 0 {
		return items, fmt.Errorf("get %d keys: %w", len(keys), errors.Join(errs...))
	}
	return items, nil
}

// getBatch is the keys of one GetMulti that go to one server, and what came of it.
type getBatch struct {
	server  *server
	routes  []*route
	found   map[string]*Item // by key on the wire
	answer  error
	failure *failure
}

// batch groups keys by the server that each goes to next. lost has one error for all keys that have no server left.
func batch(pending []*route) (batches []*getBatch, lost []error) {
	byServer := make(map[*server]*getBatch)
	for _, r := range pending {
		s, ok := r.next()
		if !ok {
			if lost == nil {
				lost = append(lost, noServers(s, r.failures))
			}
			continue
		}
		b := byServer[s]
		if b == nil {
			b = &getBatch{server: s, found: make(map[string]*Item)}
			byServer[s] = b
			batches = append(batches, b)
		}
		b.routes = append(b.routes, r)
	}
	return batches, lost
}

// ask runs all batches at the same time.
func ask(ctx context.Context, batches []*getBatch) {
	if len(batches) == 0 {
		return
	}
	var others sync.WaitGroup
	for _, b := range batches[1:] {
		others.Go(func() { b.ask(ctx) })
	}
	batches[0].ask(ctx)
	others.Wait()
}

func (b *getBatch) ask(ctx context.Context) {
	b.failure, b.answer = b.server.do(ctx, request{repeatable: true, run: b.run})
}

// run asks for the keys that were not found yet: it may be the second try after a connection that had died.
func (b *getBatch) run(conn *conn) (answer, err error) {
	missing := make(map[string]bool, len(b.routes))
	var order []string
	for _, r := range b.routes {
		if b.found[r.key] == nil {
			missing[r.key] = true
			order = append(order, r.key)
		}
	}
	for len(order) > 0 {
		n, size := 0, 0
		for n < len(order) && size < getLineMax {
			size += len(order[n]) + 1
			n++
		}
		if err := conn.write(memcache.AppendGetRequest(conn.out, memcache.OpGet, order[:n]...), nil); err != nil {
			return nil, err
		}
		err := conn.replies.ReadValues(false, func(v memcache.Value) error {
			if !missing[string(v.Key)] {
				return notAskedFor(v)
			}
			key := string(v.Key)
			delete(missing, key)
			b.found[key] = &Item{Value: v.Data, Flags: v.Flags}
			return nil
		})
		if err != nil {
			return nil, err
		}
		order = order[n:]
	}
	return nil, nil
}
