package migrate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/tyrant"
)

// serverInfo is what a server's stat tells.
type serverInfo struct {
	version, kind string
	sid           int
	now           int64 // microseconds by its clock
	records       uint64
	bigEndian     bool
	// inits and nexts are how often its cursor was used, by everybody.
	inits, nexts uint64
}

// ownCursors reports whether each connection has a cursor of its own: futago's.
func (i *serverInfo) ownCursors() bool { return strings.Contains(i.version, "futago") }

func readInfo(c *tyrant.Client) (serverInfo, error) {
	text, err := c.Stat()
	if err != nil {
		return serverInfo{}, err
	}
	return parseInfo(string(text))
}

func parseInfo(text string) (i serverInfo, err error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values[name] = value
	}
	number := func(name string) uint64 {
		n, problem := strconv.ParseUint(values[name], 10, 63)
		if problem != nil && values[name] != "" {
			err = fmt.Errorf("read stat: %s is %.64q", name, values[name])
		}
		return n
	}
	i = serverInfo{
		version: values["version"], kind: values["type"], sid: int(number("sid")), records: number("rnum"),
		bigEndian: values["bigend"] == "1", inits: number("cnt_iterinit"), nexts: number("cnt_iternext"),
	}
	if err == nil {
		i.now, err = parseMicros(values["time"])
	}
	return i, err
}

// parseMicros reads seconds with six decimals.
func parseMicros(text string) (int64, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	decimals = (decimals + "000000")[:6]
	n, err := strconv.ParseUint(whole+decimals, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("read stat: time is %.64q: is stat masked?", text)
	}
	return int64(n), nil
}

// reader reads records from a server, in groups.
type reader struct {
	dial Dial
	c    *tyrant.Client
}

func openReader(ctx context.Context, dial Dial) (*reader, error) {
	c, err := connect(ctx, dial, batchReply)
	if err != nil {
		return nil, err
	}
	return &reader{dial, c}, nil
}

func (r *reader) Close() { r.c.Close() }

// read returns those of the keys that have a value, in their order. A group that is too large for one reply is asked for in parts.
func (r *reader) read(ctx context.Context, keys [][]byte) ([]tyrant.Record, error) {
	records, err := r.c.MGet(keys)
	if !errors.Is(err, tyrant.ErrReply) {
		return records, err
	}
	r.c.Close()
	c, err := connect(ctx, r.dial, batchReply)
	if err != nil {
		return nil, err
	}
	r.c = c
	if len(keys) == 1 {
		return readLarge(ctx, r.dial, keys[0])
	}
	half := len(keys) / 2
	records, err = r.read(ctx, keys[:half])
	if err != nil {
		return nil, err
	}
	more, err := r.read(ctx, keys[half:])
	return append(records, more...), err
}

func readLarge(ctx context.Context, dial Dial, key []byte) ([]tyrant.Record, error) {
	c, err := connect(ctx, dial, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	value, err := c.Get(key)
	switch {
	case errors.Is(err, tyrant.CodeNoRecord):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %.64q: %w", key, err)
	}
	return []tyrant.Record{{Key: key, Value: value}}, nil
}
