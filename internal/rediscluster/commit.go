package rediscluster

import (
	"context"
	"crypto/sha1"
	_ "embed" // script.lua
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

//go:embed script.lua
var scriptText string

var (
	script    = valkey.NewLuaScript(scriptText)
	scriptSum = fmt.Sprintf("%x", sha1.Sum([]byte(scriptText)))
)

// operations are the numbers that the script knows.
var operations = [...]byte{
	store.Set: 1, store.Add: 2, store.Replace: 3, store.Append: 4, store.Prepend: 5, store.Shift: 6, store.CAS: 7, store.Delete: 8,
	store.Incr: 9, store.Decr: 10, store.Touch: 11, store.Invalidate: 12, store.AddInt: 13, store.AddDouble: 14,
}

// outcomes are the letters of the script for what changes nothing.
var outcomes = map[byte]error{
	'N': store.ErrNotFound, 'E': store.ErrExists, 'C': store.ErrConflict, 'X': store.ErrNotNumeric, 'L': store.ErrTooLarge, 'F': store.ErrForeign,
}

// Commit executes one operation and waits for it. After store.ErrUnknown it may have been executed, or be yet; after any other error
// nothing changed.
func (s *Store) Commit(req *store.Request, res *store.Result) error {
	if err := s.check(req); err != nil {
		*res = store.Result{}
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	return s.commit(ctx, req, res)
}

// check refuses what no cluster is asked.
func (s *Store) check(req *store.Request) error {
	switch {
	case len(req.Key) == 0 || len(req.Key) > record.MaxKey:
		return store.ErrKey
	case int64(len(req.Value)) > s.cfg.MaxValue || len(req.Type) > record.MaxType:
		return store.ErrTooLarge
	case req.Level != store.DefaultLevel && req.Level != store.LevelLocal, req.Relayed:
		return store.ErrRefused
	case req.Op == store.AddDouble && math.IsNaN(req.Double):
		return store.ErrNotNumeric
	}
	return nil
}

// commit executes one operation, in the time that ctx leaves.
func (s *Store) commit(ctx context.Context, req *store.Request, res *store.Result) error {
	*res = store.Result{}
	keys, args := s.words(req)
	var f floor
	answer, err := s.write(ctx, func() valkey.ValkeyResult {
		// Each time: a flush_all that came while it was repeated would not hold otherwise.
		var err error
		if f, err = s.floors.now(ctx, s); err != nil {
			return valkey.NewErrorResult(err)
		}
		args[0] = packRequest(req, f, s.cfg.MaxValue)
		return s.run(ctx, keys, args)
	})
	if err == nil {
		err = s.settled(ctx, f, answer, req, res)
	}
	return s.noted(err)
}

// settled reads the answer to a write that was sent with a floor. Where it took so long that a flush_all has come of which the write did not
// know, it may have been executed after that: on a record that was dead already.
func (s *Store) settled(ctx context.Context, f floor, answer []byte, req *store.Request, res *store.Result) error {
	if err := unpackAnswer(answer, req, res); err != nil {
		return err
	}
	if time.Now().Before(f.until) {
		return nil // a flush_all waits for that long before it is told of
	}
	if now, err := s.floors.now(ctx, s); err != nil || now.version != f.version {
		return store.ErrUnknown
	}
	return nil
}

// words are those of the script, but for what depends on flush_all. They are copies: a command that was given up may still be on its way out.
func (s *Store) words(req *store.Request) (keys, args []string) {
	args = []string{"", string(req.Type), string(req.Value), "", ""}
	if req.Op == store.Incr || req.Op == store.Decr {
		args[3], args[4] = strconv.FormatUint(req.Delta, 10), strconv.FormatUint(req.Initial, 10)
	}
	return []string{s.name(req.Key)}, args
}

const (
	packedSize = 83
	answerSize = 26
)

// packRequest packs what the script unpacks.
func packRequest(req *store.Request, f floor, maxValue int64) string {
	b := make([]byte, 0, packedSize)
	b = append(b, operations[req.Op])
	bits := uint16(0)
	for i, is := range []bool{
		req.Create, req.KeepExpires, req.Retime, req.Claim, req.Vivify, req.Outdated, req.Remove, req.CAS != 0 || req.Op == store.CAS, req.Unique != 0,
	} {
		if is {
			bits |= 1 << i
		}
	}
	order := binary.BigEndian
	b = order.AppendUint32(order.AppendUint16(b, bits), req.Flags)
	b = order.AppendUint64(b, uint64(toUnix(req.Expires)))
	b = order.AppendUint64(b, uint64(f.active))
	b = order.AppendUint64(b, uint64(f.pending))
	b = order.AppendUint64(b, uint64(maxValue))
	b = order.AppendUint64(b, uint64(max(req.Width, 0)))
	b = order.AppendUint32(b, uint32(req.Int))
	b = order.AppendUint64(order.AppendUint64(b, req.CAS), req.Unique)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(req.Double))
	return string(order.AppendUint64(b, uint64(toUnix(req.RetimeTo))))
}

// unpackAnswer reads what the script answered.
func unpackAnswer(b []byte, req *store.Request, res *store.Result) error {
	if len(b) == 1 {
		if err, ok := outcomes[b[0]]; ok {
			return err
		}
	}
	if len(b) < answerSize || b[0] != 'S' {
		return store.ErrUnknown
	}
	order := binary.BigEndian
	res.Token, res.Expires = order.Uint64(b[1:]), fromUnix(int64(order.Uint64(b[9:])))
	res.Size, res.Fresh = int(order.Uint64(b[17:])), b[25] != 0
	extra := b[answerSize:]
	switch {
	case req.Op == store.Incr || req.Op == store.Decr:
		res.Number, _ = strconv.ParseUint(string(extra), 10, 64)
	case req.Op == store.AddInt && len(extra) == 4:
		res.Int = int32(binary.LittleEndian.Uint32(extra))
	case req.Op == store.AddDouble && len(extra) == 8:
		res.Double = math.Float64frombits(binary.LittleEndian.Uint64(extra))
	}
	return nil
}
