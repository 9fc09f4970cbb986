package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/futago/futago/internal/tyrant"
	"github.com/gomodule/redigo/redis"
)

// Redis is a Source: the strings of one database of a server that speaks Redis' protocol. It goes on from the cursor of its list as long as
// the server was not started again.
type Redis struct {
	// Dial connects to it, says who asks and chooses the database.
	Dial func(ctx context.Context) (redis.Conn, error)
}

// scanCount is how many keys are asked for in one go.
const scanCount = 1000

// Read gives all strings to the sink, and names what else there is.
func (s *Redis) Read(ctx context.Context, place string, to *Sink) error {
	c, err := s.Dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	run := runID(c)
	if err := c.Err(); err != nil { // with TLS 1.3 a server that refuses a certificate says so only now
		return fmt.Errorf("ask the source: %w", reason(ctx, err))
	}
	cursor, done := "0", int64(0)
	if place != "" {
		p, err := parseRedisPlace(place)
		if err != nil {
			return err
		}
		if p.run == run {
			cursor, done = p.cursor, p.done
		} else {
			to.Notice("the source was started again since, or is another one: its list begins anew")
			to.Anew()
		}
	}
	if place != "" && cursor == "" { // it had come to the end
		return nil
	}
	total, err := redis.Int64(c.Do("DBSIZE"))
	if err != nil {
		return fmt.Errorf("ask the source: %w", reason(ctx, err))
	}
	for {
		args := redis.Args{cursor, "COUNT", scanCount}
		if prefix := to.Prefix(); len(prefix) > 0 {
			args = args.Add("MATCH", globPrefix(prefix))
		}
		next, keys, err := scanned(c.Do("SCAN", args...))
		if err == nil {
			err = readStrings(c, keys, to)
		}
		if err != nil {
			return fmt.Errorf("read the source: %w", reason(ctx, err))
		}
		done += int64(len(keys))
		if cursor = next; cursor == "0" {
			cursor = ""
		}
		p := ""
		if run != "" {
			p = redisPlace{run, cursor, done}.String()
		}
		if err := to.At(p, done, total); err != nil || cursor == "" {
			return err
		}
	}
}

// redisPlace is behind a part of the list that a server has begun since it was started last.
type redisPlace struct {
	run    string
	cursor string // "" is the end
	done   int64
}

func (p redisPlace) String() string { return fmt.Sprintf("%s %d %s", p.run, p.done, p.cursor) }

func parseRedisPlace(text string) (p redisPlace, err error) {
	if _, err := fmt.Sscanf(text, "%s %d", &p.run, &p.done); err != nil {
		return p, fmt.Errorf("%w: place %.64q in the state", ErrOtherSource, text)
	}
	p.cursor = text[strings.LastIndexByte(text, ' ')+1:]
	return p, nil
}

// runID is that of the server, "" if it does not say.
func runID(c redis.Conn) string {
	text, err := redis.String(c.Do("INFO", "server"))
	if err != nil {
		return "" // the user may have no right to that
	}
	_, rest, _ := strings.Cut(text, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	if strings.ContainsAny(id, " \t\n") {
		return ""
	}
	return id
}

// globPrefix is the pattern of the keys that begin with prefix.
func globPrefix(prefix []byte) []byte {
	var b []byte
	for _, c := range prefix {
		if strings.IndexByte(`*?[]^\`, c) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '*')
}

// scanned reads the reply to SCAN.
func scanned(reply any, err error) (cursor string, keys [][]byte, _ error) {
	parts, err := redis.Values(reply, err)
	if err != nil {
		return "", nil, err
	}
	if len(parts) != 2 {
		return "", nil, fmt.Errorf("reply to SCAN: %d parts, want 2", len(parts))
	}
	if cursor, err = redis.String(parts[0], nil); err != nil {
		return "", nil, fmt.Errorf("reply to SCAN: cursor: %w", err)
	}
	keys, err = redis.ByteSlices(parts[1], nil)
	return cursor, keys, err
}

// sizedKey is a key of a string and how large that is, in bytes.
type sizedKey struct {
	key  []byte
	size int64
}

// readStrings gives what the keys hold to the sink. Values are asked for in groups of a bounded size, large ones not at all.
func readStrings(c redis.Conn, keys [][]byte, to *Sink) error {
	found, err := stringKeys(c, keys, to)
	if err != nil {
		return err
	}
	for len(found) > 0 {
		n, size := 0, int64(0)
		for n < len(found) && (n == 0 || size+found[n].size <= batchReply) {
			size += found[n].size
			n++
		}
		if err := readGroup(c, found[:n], to); err != nil {
			return err
		}
		found = found[n:]
	}
	return nil
}

// asked sends two commands for each key, and then calls use with both replies for each. An error of use or of the connection ends it.
func asked(c redis.Conn, keys []sizedKey, first, second string, use func(k sizedKey, a, b any, refusal error) error) error {
	for _, k := range keys {
		if err := errors.Join(c.Send(first, k.key), c.Send(second, k.key)); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	for _, k := range keys {
		a, refusal := c.Receive()
		b, err := c.Receive()
		if _, isReply := refusal.(redis.Error); refusal == nil {
			refusal = err
		} else if !isReply {
			return refusal
		}
		if _, isReply := err.(redis.Error); err != nil && !isReply {
			return err
		}
		if err := use(k, a, b, refusal); err != nil {
			return fmt.Errorf("%s, %s of %.64q: %w", first, second, k.key, err)
		}
	}
	return nil
}

// stringKeys returns those keys whose strings can be stored, and accounts for the others.
func stringKeys(c redis.Conn, keys [][]byte, to *Sink) (found []sizedKey, err error) {
	list := make([]sizedKey, len(keys))
	for i, key := range keys {
		list[i].key = key
	}
	err = asked(c, list, "TYPE", "STRLEN", func(k sizedKey, a, b any, refusal error) error {
		kind, noKind := redis.String(a, nil)
		size, noSize := redis.Int64(b, nil)
		switch {
		case noKind == nil && kind == "none":
			to.Skip(reasonGone, keyName(k.key))
		case noKind == nil && kind != "string":
			to.Skip("of type "+kind, keyName(k.key))
		case refusal != nil:
			refused(to, k, refusal)
		case noKind != nil || noSize != nil:
			return cmp.Or(noKind, noSize)
		case size > to.MaxValue():
			to.Fail(reasonValue, keyName(k.key))
		default:
			found = append(found, sizedKey{k.key, size})
		}
		return nil
	})
	return found, err
}

// refused accounts for a key that the server does not give.
func refused(to *Sink, k sizedKey, refusal error) {
	word, _, _ := strings.Cut(refusal.Error(), " ")
	if word == "WRONGTYPE" {
		to.Skip("changed while it was read", keyName(k.key))
		return
	}
	to.Fail(fmt.Sprintf("the source says %.32q", word), keyName(k.key))
}

func readGroup(c redis.Conn, keys []sizedKey, to *Sink) error {
	return asked(c, keys, "GET", "PTTL", func(k sizedKey, a, b any, refusal error) error {
		if refusal != nil {
			refused(to, k, refusal)
			return nil
		}
		left, err := redis.Int64(b, nil)
		if err != nil {
			return err
		}
		if a == nil || left == -2 {
			to.Skip(reasonGone, keyName(k.key))
			return nil
		}
		value, err := redis.Bytes(a, nil)
		if err != nil {
			return err
		}
		i := tyrant.Item{Key: k.key, Value: value}
		if left >= 0 {
			i.Expires = min(time.Now().UnixMilli()+min(left, lastExpiry), lastExpiry)
		}
		return to.Put(i)
	})
}
