package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/tyrant"
	"github.com/google/go-cmp/cmp"
)

// TestReplay replays a whole log, broken off at any place again and again.
func TestReplay(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			dir := t.TempDir()
			source, target := listen(t, dir), listen(t, "")
			for i := range 40_000 {
				source.Do(randomRequest(r, 300))
				if seed%3 == 1 && i%15_000 == 14_999 {
					source.Do(tyrant.Request{Command: tyrant.Vanish})
				}
			}
			path := statePath(t)
			breaks := 0
			replay := func(dial Dial) (*Replayed, error) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				return Replay(ctx, ReplayConfig{Dir: dir, Target: dial, State: openState(t, path), Notice: killed(cancel)})
			}
			for range 25 {
				if _, err := replay(breaking(target, int64(r.IntN(15_000)), func() {})); err != nil {
					breaks++
				}
			}
			done, err := replay(dialer(target))
			if err != nil || breaks == 0 {
				t.Fatalf("got %v, broken off %d times", err, breaks)
			}
			if done.AllFailed() != 0 || done.Unknown != 0 || done.Doubtful != 0 || done.Torn != "" {
				t.Errorf("done: %+v", done)
			}
			checkEqual(t, source, target)

			// What comes later is replayed from there.
			source.Do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("number1"), Num: 5})
			if done, err := replay(dialer(target)); err != nil || done.Entries != 1 || done.Applied != 1 {
				t.Errorf("one more: %+v, %v", done, err)
			}
			checkEqual(t, source, target)
		})
	}
}

// TestReplayDryRun computes a log, over several steps, without changing anything, and says what replaying it then does.
func TestReplayDryRun(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 4))
		dir := t.TempDir()
		source, target := listen(t, dir), listen(t, "")
		for i := range 3 * stepEntries {
			source.Do(randomRequest(r, 300))
			if seed == 1 && i == stepEntries+100 {
				source.Do(tyrant.Request{Command: tyrant.Vanish})
			}
		}
		target.Do(tyrant.Request{Command: tyrant.Put, Key: []byte("mine"), Value: []byte("v")})
		before, path := target.Records(), statePath(t)
		replay := func(dry bool) *Replayed {
			t.Helper()
			done, err := Replay(t.Context(), ReplayConfig{Dir: dir, Target: dialer(target), State: openState(t, path), DryRun: dry})
			if err != nil || done.DryRun != dry || done.unaccounted() != 0 {
				t.Fatalf("dry %v: got %+v, %v", dry, done, err)
			}
			done.Seconds, done.DryRun, done.Skipped = 0, false, nil // whose examples are in no order
			return done
		}
		dry := replay(true)
		if diff := cmp.Diff(before, target.Records()); diff != "" || openState(t, path).Begun() {
			t.Errorf("a dry run has changed something (-before +after):\n%.1000s", diff)
		}
		if diff := cmp.Diff(replay(false), dry); diff != "" {
			t.Errorf("seed %d: the dry run says something else (-real +dry):\n%s", seed, diff)
		}
	}
}

func TestReplayDamage(t *testing.T) {
	write := func(t *testing.T, n int) (dir string, file string) {
		dir = t.TempDir()
		m := listen(t, dir)
		for i := range n {
			m.Do(tyrant.Request{Command: tyrant.Put, Key: fmt.Append(nil, i), Value: make([]byte, 1000)})
		}
		return dir, filepath.Join(dir, "00000001.ulog")
	}
	replay := func(t *testing.T, dir string, partial bool) (*Replayed, error) {
		return Replay(t.Context(), ReplayConfig{Dir: dir, Target: dialer(listen(t, "")), State: openState(t, ""), Partial: partial})
	}
	t.Run("torn", func(t *testing.T) {
		dir, file := write(t, 10)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, info.Size()-5); err != nil {
			t.Fatal(err)
		}
		if done, err := replay(t, dir, false); err != nil || done.Stored != 9 || !strings.Contains(done.Torn, "00000001.ulog at ") {
			t.Errorf("got %+v, %v", done, err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir, file := write(t, 10)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		size := len(text) / 10
		text[5*size] = 'x'
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		done, err := replay(t, dir, false)
		damage, ok := errors.AsType[*tyrant.LogError](err)
		if !ok || damage.File != file || damage.Offset != int64(5*size) || done.Stored != 5 {
			t.Errorf("got %+v, %v", done, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		dir, file := write(t, 2500)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, err := replay(t, dir, false); !errors.Is(err, ErrMissing) {
			t.Errorf("got %v, want %v", err, ErrMissing)
		}
		if done, err := replay(t, dir, true); err != nil || done.Stored == 0 || done.Stored >= 2500 {
			t.Errorf("got %+v, %v", done, err)
		}
	})
}
