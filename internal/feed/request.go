package feed

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/record"
)

// Limits of a request.
const (
	maxPrefixes  = 64
	defaultLimit = 1000
	maxLimit     = 10000
	defaultWait  = 30 * time.Second
	maxWait      = time.Minute
	// maxAnswer is how many bytes of the log a document covers at most, or one change.
	maxAnswer = 1 << 20
)

// request is what a client wants.
type request struct {
	prefixes [][]byte // of keys, any of them; none: all keys
	from     string   // position; "": the end
	limit    int
	wait     time.Duration
	values   bool
	stream   bool // server-sent events
	sees     func(key []byte) bool
}

// parse reads a request. Of the position that a client of a stream was told last its own header speaks, when it connects
// again with the address that it has.
func parse(r *http.Request) (*request, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	req := &request{limit: defaultLimit, wait: defaultWait, values: true}
	for name, list := range q {
		if name == "prefix" {
			if len(list) > maxPrefixes {
				return nil, fmt.Errorf("prefix: %d of them, at most %d are allowed", len(list), maxPrefixes)
			}
			for _, p := range list {
				if len(p) > record.MaxKey {
					return nil, fmt.Errorf("prefix of %d bytes: a key has at most %d", len(p), record.MaxKey)
				}
				req.prefixes = append(req.prefixes, []byte(p))
			}
			continue
		}
		if err := req.set(name, list[0]); err != nil {
			return nil, err
		}
		if len(list) > 1 {
			return nil, fmt.Errorf("%s: is given twice", name)
		}
	}
	req.stream = strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if id := r.Header.Get("Last-Event-ID"); id != "" && req.stream {
		return req, req.set("from", id)
	}
	return req, nil
}

func (req *request) set(name, text string) error {
	switch name {
	case "from":
		req.from = text
	case "limit":
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return fmt.Errorf("limit %q: allowed is 1 to %d", text, maxLimit)
		}
		req.limit = n
	case "wait":
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > maxWait {
			return fmt.Errorf("wait %q: allowed is 0s to %v", text, maxWait)
		}
		req.wait = d
	case "values":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("values %q: allowed is true or false", text)
		}
		req.values = b
	default:
		return fmt.Errorf("unknown parameter %q: known are prefix, from, limit, wait, values", name)
	}
	return nil
}

// wants reports whether the client is told of a change. A flush concerns all keys.
func (req *request) wants(c Entry) bool {
	key, flush := c.Names()
	if flush {
		return true
	}
	if req.sees != nil && !req.sees(key) {
		return false
	}
	for _, p := range req.prefixes {
		if bytes.HasPrefix(key, p) {
			return true
		}
	}
	return len(req.prefixes) == 0
}
