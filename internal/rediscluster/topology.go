package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// slotCount is fixed in Redis' cluster protocol.
const slotCount = 16384

// master is a node that has slots.
type master struct {
	id, addr string
	client   valkey.Client
}

// masters is who has which slots, as the nodes say.
type masters struct {
	list   []master // by id
	covers int      // slots that somebody has
	moving bool     // slots are being moved
	sum    uint64   // of who has what
	nodes  []string // ids of all, replicas too, as far as somebody knows them
}

var errTopology = errors.New("the nodes do not say who has which slots")

// topology is ask, of a cluster that was reached.
func (s *Store) topology(ctx context.Context) (masters, error) {
	if err := s.unconnected(); err != nil {
		return masters{}, err
	}
	return s.ask(ctx)
}

// ask asks all nodes. Each knows which slots it has itself, and which it is moving. One that hangs is hardly waited for when the
// others have all slots: it is a replica, or has been replaced.
func (s *Store) ask(ctx context.Context) (masters, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		master
		text string
		err  error
	}
	nodes := s.client.Nodes()
	answers := make(chan answer, len(nodes))
	for addr, client := range nodes {
		go func() {
			text, err := client.Do(ctx, client.B().ClusterNodes().Build()).ToString()
			answers <- answer{master{addr: addr, client: client}, text, err}
		}()
	}
	var all masters
	var failed error
	var late <-chan time.Time
	claims := map[string]string{}
	for heard := 0; heard < len(nodes); heard++ {
		select {
		case a := <-answers:
			if a.err != nil {
				failed = fmt.Errorf("%s: %w", a.addr, a.err)
				continue
			}
			all.nodes = append(all.nodes, parseIDs(a.text)...)
			id, claim, moving, n := parseMyself(a.text)
			if all.moving = all.moving || moving; n > 0 {
				a.id = id
				all.list, all.covers, claims[id] = append(all.list, a.master), all.covers+n, claim
			}
			if all.covers >= slotCount && late == nil {
				late = time.After(s.cfg.Timeout / 8)
			}
			continue
		case <-late:
		case <-ctx.Done():
			failed = context.Cause(ctx)
		}
		break
	}
	switch {
	case len(all.list) == 0 && failed != nil:
		return all, fmt.Errorf("%w: %w", errTopology, failed)
	case len(all.list) == 0:
		return all, errTopology
	}
	slices.SortFunc(all.list, func(a, b master) int { return strings.Compare(a.id, b.id) })
	slices.Sort(all.nodes)
	all.nodes = slices.Compact(all.nodes)
	h := fnv.New64a()
	for _, m := range all.list {
		fmt.Fprintln(h, m.id, claims[m.id])
	}
	all.sum = h.Sum64()
	return all, nil
}

// whole is topology when every slot is at one master. Where one is handed over, two may say that they have it, or none: it asks again.
func (s *Store) whole(ctx context.Context) (all masters, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err = s.attempt(ctx, func() (err error) {
		if all, err = s.topology(ctx); err == nil && all.covers != slotCount {
			err = fmt.Errorf("%d of %d slots are at a master", all.covers, slotCount)
		}
		return err
	}, func(err error) (bool, error) { return ctx.Err() == nil && s.unconnected() == nil, err })
	return all, err
}

// parseMyself reads the line of the node that was asked from CLUSTER NODES: id, and if it is a master its slots, of which n are
// claimed. The claim has a number that rises with each taking of a slot, so one that was away and is back is seen.
func parseMyself(text string) (id, claim string, moving bool, n int) {
	for line := range strings.Lines(strings.TrimPrefix(text, "txt:")) { // the client leaves RESP3's mark of a text in front
		fields := strings.Fields(line)
		if len(fields) < 8 || !slices.Contains(strings.Split(fields[2], ","), "myself") || !slices.Contains(strings.Split(fields[2], ","), "master") {
			continue
		}
		claim = fields[6] + " "
		for _, f := range fields[8:] {
			if strings.HasPrefix(f, "[") {
				moving = true
				continue
			}
			from, to, ranged := strings.Cut(f, "-")
			if !ranged {
				to = from
			}
			a, err1 := strconv.Atoi(from)
			b, err2 := strconv.Atoi(to)
			if err1 == nil && err2 == nil && 0 <= a && a <= b && b < slotCount {
				n += b - a + 1
			}
			claim += f + " "
		}
		return fields[0], claim, moving, n
	}
	return "", "", false, 0
}

// parseIDs reads the ids of all nodes from CLUSTER NODES, but for those that are being met, whose ids will be others.
func parseIDs(text string) (ids []string) {
	for line := range strings.Lines(strings.TrimPrefix(text, "txt:")) {
		if fields := strings.Fields(line); len(fields) >= 8 && !slices.Contains(strings.Split(fields[2], ","), "handshake") {
			ids = append(ids, fields[0])
		}
	}
	return ids
}

// span is the times that the masters' clocks show, microseconds since 1970.
type span struct{ earliest, latest int64 }

// clocks asks every master for its time.
func (s *Store) clocks(ctx context.Context) (t span, err error) {
	all, err := s.whole(ctx)
	if err != nil {
		return t, err
	}
	for _, m := range all.list {
		list, err := m.client.Do(ctx, m.client.B().Time().Build()).AsStrSlice()
		if err != nil || len(list) != 2 {
			return t, fmt.Errorf("ask %s for the time: %w", m.addr, errors.Join(err, errTopology))
		}
		sec, err1 := strconv.ParseInt(list[0], 10, 64)
		micros, err2 := strconv.ParseInt(list[1], 10, 64)
		if err1 != nil || err2 != nil {
			return t, fmt.Errorf("time of %s: %q", m.addr, list)
		}
		now := sec*1e6 + micros
		if t.latest = max(t.latest, now); t.earliest == 0 || now < t.earliest {
			t.earliest = now
		}
	}
	return t, nil
}
