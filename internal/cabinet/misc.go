package cabinet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// function is one of misc. It gets at least so many arguments; without an error its result is the reply.
type function struct {
	arguments int
	rights    Rights
	call      func(c *Client, ctx context.Context, args [][]byte) ([][]byte, error)
}

// Rights say what an operation does.
type Rights uint8

const (
	Reads Rights = 1 << iota
	Writes
	Manages // the database as a whole
)

var functions = map[string]function{
	"put":        {2, Writes, putFunction((*Client).Put)},
	"putkeep":    {2, Writes, putFunction((*Client).PutKeep)},
	"putcat":     {2, Writes, putFunction((*Client).PutCat)},
	"out":        {1, Writes, outFunction},
	"get":        {1, Reads, getFunction},
	"getpart":    {1, Reads, getPart},
	"putlist":    {0, Writes, putList},
	"outlist":    {0, Writes, outList},
	"getlist":    {0, Reads, getList},
	"iterinit":   {0, Reads, iterInit},
	"iternext":   {0, Reads, iterNext},
	"regex":      {1, Reads, regex},
	"range":      {0, Reads, keyRange},
	"sync":       {0, Manages, func(c *Client, _ context.Context, _ [][]byte) ([][]byte, error) { return nil, c.Sync() }},
	"optimize":   {0, Manages, func(c *Client, ctx context.Context, _ [][]byte) ([][]byte, error) { return nil, c.Optimize(ctx) }},
	"defrag":     {0, Manages, func(c *Client, ctx context.Context, _ [][]byte) ([][]byte, error) { return nil, c.Optimize(ctx) }},
	"vanish":     {0, Writes | Manages, func(c *Client, _ context.Context, _ [][]byte) ([][]byte, error) { return nil, c.Vanish() }},
	"cacheclear": {0, Manages, func(*Client, context.Context, [][]byte) ([][]byte, error) { return nil, nil }},
	"error":      {0, Reads, lastError},

	tyrant.MiscImport:     {1, Writes, importItems},
	tyrant.MiscExport:     {2, Reads, exportItems},
	tyrant.MiscExportKeys: {0, Reads, exportKeys},
}

// MiscRights says what a function of misc does, and which of its arguments are keys that it touches; 0: there is none of this name.
func MiscRights(name string, args [][]byte) (r Rights, keys [][]byte) {
	f, ok := functions[name]
	if !ok {
		return 0, nil
	}
	switch name {
	case "put", "putkeep", "putcat", "out", "get", "getpart", "iterinit":
		keys = args[:min(1, len(args))]
	case "outlist", "getlist", tyrant.MiscExportKeys:
		keys = args
	case "putlist":
		for i := 0; i+1 < len(args); i += 2 {
			keys = append(keys, args[i])
		}
	case tyrant.MiscImport:
		keys = tyrant.ItemKeys(args[min(1, len(args)):])
	}
	return f.rights, keys
}

// IsWalk reports whether a function of misc may take long.
func IsWalk(name string, args [][]byte) bool {
	switch name {
	case "regex", "range", "sync", "optimize", "defrag", "vanish", tyrant.MiscImport, tyrant.MiscExport:
		return true
	}
	return len(args) > cursorStep
}

// Misc calls a function of misc; ErrFunction, ErrArgument, ErrTooMuch, ErrEnd or what the operation says.
func (c *Client) Misc(ctx context.Context, name string, args [][]byte) ([][]byte, error) {
	f, ok := functions[name]
	if !ok {
		return nil, c.note(ErrFunction)
	}
	if len(args) < f.arguments {
		return nil, c.note(ErrArgument)
	}
	return f.call(c, ctx, args)
}

func putFunction(put func(c *Client, key, value []byte) error) func(*Client, context.Context, [][]byte) ([][]byte, error) {
	return func(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
		return nil, put(c, args[0], args[1])
	}
}

func outFunction(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	return nil, c.Out(args[0])
}

func getFunction(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	value, err := c.Get(args[0])
	if err != nil {
		return nil, err
	}
	return [][]byte{value}, nil
}

// getPart returns a part of a value, from an offset on and so long; a negative length is all.
func getPart(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	offset, length := number(args, 1, 0), number(args, 2, -1)
	v, err := c.hold(args[0])
	if err != nil {
		return nil, err
	}
	defer v.Release()
	if offset = max(offset, 0); offset >= len(v.Value) {
		return nil, c.note(ErrArgument)
	}
	part := v.Value[offset:]
	if length >= 0 {
		part = part[:min(length, len(part))]
	}
	return [][]byte{bytes.Clone(part)}, nil
}

// number is a numeric argument. As in the original, what is no number counts as 0.
func number(args [][]byte, i, missing int) int {
	if i >= len(args) {
		return missing
	}
	n, _ := strconv.Atoi(string(bytes.TrimSpace(args[i])))
	return n
}

func putList(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	for ; len(args) >= 2; args = args[2:] {
		if err := c.Put(args[0], args[1]); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func outList(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	for _, key := range args {
		if err := c.Out(key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return nil, c.note(nil)
}

func getList(c *Client, ctx context.Context, args [][]byte) ([][]byte, error) {
	return c.records(ctx, args)
}

// records returns keys and values of those keys that have one.
func (c *Client) records(ctx context.Context, keys [][]byte) (list [][]byte, err error) {
	var m memory
	fits := true
	_, err = c.MGet(ctx, keys, func(key, value []byte) (more bool) {
		list = append(list, m.clone(key), m.clone(value))
		fits = m.taken+len(list)*keyOverhead <= c.c.limit
		return fits
	})
	if err == nil && !fits {
		err = c.note(ErrTooMuch)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

func iterInit(c *Client, _ context.Context, args [][]byte) ([][]byte, error) {
	if len(args) > 0 {
		return nil, c.IterInitAt(args[0])
	}
	return nil, c.IterInit()
}

func iterNext(c *Client, _ context.Context, _ [][]byte) ([][]byte, error) {
	for {
		key, err := c.IterNext()
		if err != nil {
			return nil, err
		}
		value, err := c.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted in between
		}
		return [][]byte{key, value}, err
	}
}

// regex returns the records whose keys match a POSIX extended regular expression; a * in front of it ignores case.
func regex(c *Client, ctx context.Context, args [][]byte) ([][]byte, error) {
	match, err := Pattern(string(args[0]))
	if err != nil {
		return nil, c.note(err)
	}
	most := number(args, 1, -1)
	if most < 1 {
		most = -1
	}
	keys, err := c.Keys(ctx, match.Match, most)
	if err != nil {
		return nil, err
	}
	return c.records(ctx, keys)
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 4 << 10

// Pattern compiles a POSIX extended regular expression. With a * in front it ignores case, as Tokyo Cabinet has it.
func Pattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("%w: pattern of %d bytes", ErrArgument, len(text))
	}
	flags := syntax.POSIX
	if len(text) > 0 && text[0] == '*' {
		text, flags = text[1:], flags|syntax.FoldCase
	}
	parsed, err := syntax.Parse(text, flags)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArgument, err)
	}
	return regexp.Compile(parsed.String())
}

// keyRange returns the records of the keys from one on, at most so many, up to but without another.
func keyRange(c *Client, ctx context.Context, args [][]byte) ([][]byte, error) {
	var from, to []byte
	if len(args) > 0 {
		from = args[0]
	}
	most := number(args, 1, -1)
	if most < 1 {
		most = -1
	}
	if len(args) > 2 {
		to = args[2]
	}
	keys, err := c.Keys(ctx, func(key []byte) bool {
		return bytes.Compare(key, from) >= 0 && (to == nil || bytes.Compare(key, to) < 0)
	}, most)
	if err != nil {
		return nil, err
	}
	return c.records(ctx, keys)
}

// lastError tells what became of the client's operation before, in the words of Tokyo Cabinet.
func lastError(c *Client, _ context.Context, _ [][]byte) ([][]byte, error) {
	text := "9999: miscellaneous error"
	switch {
	case c.last == nil:
		text = "0: success"
	case errors.Is(c.last, store.ErrNotFound), errors.Is(c.last, ErrEnd):
		text = "22: no record found"
	case errors.Is(c.last, store.ErrExists), errors.Is(c.last, store.ErrNotNumeric):
		text = "21: existing record"
	case errors.Is(c.last, ErrArgument), errors.Is(c.last, ErrFunction), errors.Is(c.last, store.ErrKey), errors.Is(c.last, store.ErrTooLarge):
		text = "2: invalid operation"
	}
	return [][]byte{[]byte(text)}, nil
}
