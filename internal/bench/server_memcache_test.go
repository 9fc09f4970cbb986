package bench

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/memcache"
)

// meta answers one meta command. A quiet mg has a reply only when it finds something.
func (s *fakeServer) meta(r *bufio.Reader) (reply string, ok bool) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", false
		}
		words := strings.Fields(line)
		switch words[0] {
		case "mn":
			return reply + "MN\r\n", true
		case "ms":
			size, err := strconv.Atoi(words[2])
			b := make([]byte, size+2)
			if err != nil {
				return "", false
			}
			if _, err := io.ReadFull(r, b); err != nil || !strings.HasSuffix(string(b), "\r\n") {
				return "", false
			}
			s.set(words[1], string(b[:size]))
			return "HD\r\n", true
		case "ma":
			if _, ok := s.add(words[1]); ok {
				return "HD\r\n", true
			}
			return "NF\r\n", true
		case "mg":
			quiet := len(words) == 4 && words[3] == "q"
			v, found := s.get(words[1])
			switch {
			case found:
				reply += fmt.Sprintf("VA %d\r\n%s\r\n", len(v), v)
			case !quiet:
				reply += "EN\r\n"
			}
			if !quiet {
				return reply, true
			}
		default:
			return "ERROR\r\n", true
		}
	}
}

// binary answers one packet, or quiet ones to the no-op behind them.
func (s *fakeServer) binary(r *bufio.Reader) (reply string, ok bool) {
	var d memcache.BinaryDecoder
	var out []byte
	for {
		var req memcache.BinaryRequest
		b := make([]byte, binaryHeader)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", false
		}
		for {
			_, need, err := d.Decode(b, &req)
			if err == nil {
				break
			}
			more := make([]byte, max(1, need-len(b)))
			if _, err := io.ReadFull(r, more); err != nil {
				return "", false
			}
			b = append(b, more...)
		}
		if req.Status != memcache.BinaryOK || req.Close {
			panic(fmt.Sprintf("bad packet %q", b))
		}
		key := string(req.Key)
		switch v, found := s.get(key); req.Op {
		case memcache.OpcodeSet:
			s.set(key, string(req.Value))
			return string(memcache.AppendBinaryDone(out, req.Echo, 1)), true
		case memcache.OpcodeIncr:
			sum, ok := s.add(key)
			if !ok {
				s.set(key, strconv.FormatUint(req.Initial, 10))
			}
			n, _ := strconv.ParseUint(sum, 10, 64)
			return string(memcache.AppendBinaryNumber(out, req.Echo, n, 1)), true
		case memcache.OpcodeNoop:
			return string(memcache.AppendBinaryDone(out, req.Echo, 0)), true
		case memcache.OpcodeGet:
			if !found {
				return string(memcache.AppendBinaryMiss(out, req.Echo, nil)), true
			}
			return string(memcache.AppendBinaryValue(out, req.Echo, 0, nil, len(v), 1)) + v, true
		case memcache.OpcodeGetK:
			if found && req.Quiet {
				out = append(memcache.AppendBinaryValue(out, req.Echo, 0, req.Key, len(v), 1), v...)
			}
		}
	}
}
