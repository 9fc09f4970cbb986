package migrate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/tyrant/tyranttest"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen starts a server; with a log if dir is not empty.
func listen(t testing.TB, dir string) *tyranttest.Master {
	t.Helper()
	m, err := tyranttest.Listen("", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func dialer(m *tyranttest.Master) Dial {
	return func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
		return tyrant.Dial(ctx, m.Addr, tyrant.ClientConfig{Timeout: 20 * time.Second, MaxReply: maxReply})
	}
}

// breaking is a Dial whose connections break, all together, after so many bytes were written: as those of a process that is killed. Each
// write is told before it happens.
func breaking(m *tyranttest.Master, after int64, tell func()) Dial {
	var left atomic.Int64
	left.Store(after)
	return func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
		nc, err := net.Dial("tcp", m.Addr)
		if err != nil {
			return nil, err
		}
		return tyrant.NewClient(&breakingConn{nc, &left, tell}, tyrant.ClientConfig{MaxReply: maxReply}), nil
	}
}

type breakingConn struct {
	net.Conn
	left *atomic.Int64
	tell func()
}

func (c *breakingConn) Write(b []byte) (int, error) {
	c.tell()
	keep := min(max(c.left.Add(-int64(len(b)))+int64(len(b)), 0), int64(len(b)))
	n, err := c.Conn.Write(b[:keep])
	if err == nil && n < len(b) {
		c.Conn.Close()
		err = net.ErrClosed
	}
	return n, err
}

func openState(t testing.TB, path string) *StateFile {
	t.Helper()
	s, err := OpenState(path, "source", "target")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func statePath(t testing.TB) string { return filepath.Join(t.TempDir(), "state") }

func checkEqual(t *testing.T, source, target *tyranttest.Master) {
	t.Helper()
	if diff := cmp.Diff(source.Records(), target.Records()); diff != "" {
		t.Errorf("the records differ (-source +target):\n%.4000s", diff)
	}
}

// randomRequest changes one of some keys in any way that a log knows. Keys of adddouble never hold anything else.
func randomRequest(r *rand.Rand, keys int) tyrant.Request {
	name := r.IntN(keys)
	key, value := fmt.Appendf(nil, "key\xff%d", name), fmt.Appendf(nil, "%x", r.Uint32()>>r.IntN(32))
	number := fmt.Appendf(nil, "number%d", name%50)
	switch r.IntN(16) {
	case 0, 1:
		return tyrant.Request{Command: tyrant.Put, Key: key, Value: value}
	case 2:
		return tyrant.Request{Command: tyrant.PutKeep, Key: key, Value: value}
	case 3, 4:
		return tyrant.Request{Command: tyrant.PutCat, Key: key, Value: value}
	case 5:
		return tyrant.Request{Command: tyrant.PutShl, Key: key, Value: value, Width: int32(r.IntN(12))}
	case 6, 7:
		return tyrant.Request{Command: tyrant.Out, Key: key}
	case 8, 9, 10:
		return tyrant.Request{Command: tyrant.AddInt, Key: number, Num: int32(r.IntN(9) + 1)}
	case 11:
		if r.IntN(100) == 0 { // sums that the original calls failed
			return tyrant.Request{Command: tyrant.AddInt, Key: []byte("lowest" + string(number)), Num: math.MinInt32}
		}
		return tyrant.Request{Command: tyrant.AddInt, Key: key, Num: 3} // mostly refused
	case 12:
		d := tyrant.DoubleOf(float64(r.IntN(2000)-1000) / 8)
		if r.IntN(200) == 0 {
			d = tyrant.DoubleOf(math.NaN())
		}
		return tyrant.Request{Command: tyrant.AddDouble, Key: append([]byte("real "), number...), Double: d}
	case 13:
		name := []string{"put", "putkeep", "putcat", "get", "nonsense"}[r.IntN(5)]
		return tyrant.Request{Command: tyrant.Misc, Name: []byte(name), Args: [][]byte{key, value}}
	case 14:
		return tyrant.Request{Command: tyrant.Misc, Name: []byte("putlist"), Args: [][]byte{key, value, append(key, 'x'), value}}
	}
	name2 := []string{"out", "outlist"}[r.IntN(2)]
	return tyrant.Request{Command: tyrant.Misc, Name: []byte(name2), Args: [][]byte{key, append(key, 'x')}}
}
