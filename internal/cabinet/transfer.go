package cabinet

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

const (
	// exportMost and exportBytes bound the records of one list, but for what is shown beyond them: see store.List.
	exportMost  = 4096
	exportBytes = 1 << 20
	// exportLooks is how many steps a list may take, be there anything in them or not.
	exportLooks = 32
)

// lastExpiry is the latest expiry that a record can have, in Unix milliseconds.
var lastExpiry = hlc.Epoch.UnixMilli() + record.MaxExpires

// importItems stores records with all that belongs to them.
func importItems(c *Client, ctx context.Context, args [][]byte) ([][]byte, error) {
	mode := tyrant.StoreMode(args[0])
	items, err := tyrant.DecodeItems(args[1:])
	if err != nil {
		return nil, c.note(ErrArgument)
	}
	switch mode {
	case tyrant.StoreAll, tyrant.StoreAbsent, tyrant.CheckAll, tyrant.CheckAbsent:
	default:
		return nil, c.note(ErrArgument)
	}
	list := [][]byte{strconv.AppendInt(nil, c.c.store.MaxValue(), 10)}
	for i := range items {
		if i%cursorStep == 0 && ctx.Err() != nil {
			return nil, c.note(ctx.Err())
		}
		if items[i].Damaged || items[i].Expires > lastExpiry {
			return nil, c.note(ErrArgument)
		}
		outcome, fault := c.importItem(mode, &items[i])
		if fault != nil {
			return append(list, []byte(string(tyrant.OutcomeFault)+": "+fault.Error())), nil
		}
		list = append(list, []byte(outcome))
	}
	return list, nil
}

// importItem stores one record, or only says what would come of it. A fault is no outcome of this record alone.
func (c *Client) importItem(mode tyrant.StoreMode, i *tyrant.Item) (outcome tyrant.Outcome, fault error) {
	switch {
	case len(i.Key) == 0 || len(i.Key) > record.MaxKey:
		return tyrant.OutcomeKey, nil
	case int64(len(i.Value)) > c.c.store.MaxValue():
		return tyrant.OutcomeValue, nil
	case len(i.Type) > record.MaxType:
		return tyrant.OutcomeType, nil
	}
	op := store.Set
	switch mode {
	case tyrant.StoreAbsent:
		op = store.Add
	case tyrant.CheckAll:
		return tyrant.OutcomeStored, nil
	case tyrant.CheckAbsent:
		if !c.c.store.Peek(i.Key, &c.view) {
			if c.view.Fault != nil {
				return "", c.view.Fault
			}
			return tyrant.OutcomeStored, nil
		}
		c.view.Release()
		return tyrant.OutcomeKept, nil
	}
	q := &c.req
	q.Flags, q.Type, q.Expires = i.Flags, i.Type, 0
	if i.Expires != 0 {
		// A time before the epoch must not become 0, which is never.
		q.Expires = uint64(max(i.Expires-hlc.Epoch.UnixMilli(), 1))
	}
	err := c.commit(op, i.Key, i.Value)
	q.Flags, q.Type, q.Expires = 0, nil, 0
	switch {
	case errors.Is(err, store.ErrExists):
		return tyrant.OutcomeKept, c.note(nil)
	case err != nil:
		return "", err
	}
	return tyrant.OutcomeStored, nil
}

// exportItems lists records from a place on. It does not count as reading them.
func exportItems(c *Client, ctx context.Context, args [][]byte) ([][]byte, error) {
	var place store.Cursor
	if len(args[0]) > 0 {
		var err error
		if place, err = c.c.store.ParseCursor(string(args[0])); err != nil {
			return nil, c.note(ErrArgument)
		}
	}
	prefix, most := args[1], min(max(number(args, 2, exportMost), 1), exportMost)
	var keys [][]byte
	var held memory
	size, more := 0, true
	enough := func() bool { return len(keys) >= most || size >= exportBytes }
	for looks := 0; more && looks < exportLooks && !enough(); looks++ {
		if err := ctx.Err(); err != nil {
			return nil, c.note(err)
		}
		c.c.walking.Lock()
		var err error
		more, err = c.c.store.List(&place, func(r *store.Listed) bool {
			if bytes.HasPrefix(r.Key, prefix) && c.sees(r.Key) {
				keys = append(keys, held.clone(r.Key))
				size += len(r.Key) + r.Size
			}
			return !enough()
		})
		c.c.walking.Unlock()
		if err != nil {
			return nil, c.note(err)
		}
	}
	next := []byte{}
	if more {
		next = []byte(c.c.store.CursorText(place))
	}
	return c.items(ctx, [][]byte{next}, keys, &held)
}

// exportKeys returns the records of some keys. It does not count as reading them.
func exportKeys(c *Client, ctx context.Context, keys [][]byte) ([][]byte, error) {
	return c.items(ctx, nil, keys, new(memory))
}

// items appends the records of keys to list.
func (c *Client) items(ctx context.Context, list, keys [][]byte, held *memory) ([][]byte, error) {
	for i, key := range keys {
		if i%cursorStep == 0 && ctx.Err() != nil {
			return nil, c.note(ctx.Err())
		}
		item := tyrant.Item{Key: key}
		live, err := c.look(&item, held)
		if err != nil {
			return nil, c.note(err)
		}
		if live {
			list = tyrant.AppendItem(list, &item)
		}
		// Records may have grown since they were listed.
		if held.taken+len(list)*keyOverhead > c.c.limit && len(keys) > 1 {
			return nil, c.note(ErrTooMuch)
		}
	}
	return list, c.note(nil)
}

// look fills in what is stored under the key of an item; live is false when that is gone. It does not count as a read.
func (c *Client) look(i *tyrant.Item, m *memory) (live bool, err error) {
	v := &c.view
	if !c.c.store.Peek(i.Key, v) {
		if i.Damaged = v.Fault == store.ErrDamaged; !i.Damaged {
			err = v.Fault
		}
		return i.Damaged, err
	}
	defer v.Release()
	i.Value, i.Type, i.Flags = m.clone(v.Value), m.clone(v.Type), v.Flags
	if v.Expires != 0 {
		i.Expires = hlc.Epoch.UnixMilli() + int64(v.Expires)
	}
	return true, nil
}
