package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/tyrant/tyranttest"
)

// fill gives a server n records.
func fill(m *tyranttest.Master, n int) {
	for i := range n {
		m.Do(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "key\xff%d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
}

// randomWriter changes a server. Twice in a while it removes everything.
type randomWriter struct {
	*rand.Rand
	count int
}

// write makes n changes.
func (w *randomWriter) write(m *tyranttest.Master, n int) {
	for range n {
		m.Do(randomRequest(w.Rand, 6000))
		if w.count++; w.count%4000 == 0 {
			m.Do(tyrant.Request{Command: tyrant.Vanish})
		}
	}
}

// TestImportUnderWrites imports a server that changes with every step of the import, and is broken off at any place again and again.
func TestImportUnderWrites(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			source, target := listen(t, t.TempDir()), listen(t, "")
			fill(source, 5000)
			var writers sync.WaitGroup
			steps := make(chan struct{}, 1)
			writers.Go(func() {
				w := randomWriter{Rand: rand.New(rand.NewPCG(seed, 1))}
				for range steps {
					w.write(source, 100)
				}
			})
			step := func() {
				select {
				case steps <- struct{}{}:
				default: // it is at the last one still
				}
			}
			r := rand.New(rand.NewPCG(seed, 2))
			path := statePath(t)
			breaks := 0
			for range 12 {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := Import(ctx, ImportConfig{
					Source: dialer(source), Target: breaking(target, int64(r.IntN(300_000))+100, step), State: openState(t, path), ByPrefix: seed%2 == 1,
					UntilCaughtUp: true,
					Notice:        killed(cancel),
				})
				cancel()
				if err != nil {
					breaks++
				}
			}
			if breaks == 0 {
				t.Error("the import was never broken off")
			}
			close(steps)
			writers.Wait()
			done, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: openState(t, path), UntilCaughtUp: true})
			if err != nil {
				t.Fatal(err)
			}
			if !done.CaughtUp || done.AllFailed() != 0 || done.Unknown != 0 {
				t.Errorf("done: %+v", done)
			}
			if done.Entries != done.Named+done.Cleared+done.NoEffect+done.Unknown || done.unaccounted() != 0 {
				t.Errorf("the sums are wrong: %+v", done)
			}
			checkEqual(t, source, target)
		})
	}
}

// killed ends an import when it has lost the node, as a process that is killed does.
func killed(cancel func()) func(text string) {
	return func(text string) {
		if strings.HasPrefix(text, "connecting again") || strings.HasPrefix(text, "lost the node") {
			cancel()
		}
	}
}

// TestImportDeletes deletes records between two attempts to copy.
func TestImportDeletes(t *testing.T) {
	source, target := listen(t, t.TempDir()), listen(t, "")
	fill(source, 5000)
	path := statePath(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := Import(ctx, ImportConfig{
		Source: dialer(source), Target: breaking(target, 100_000, func() {}), State: openState(t, path), Notice: killed(cancel),
	}); err == nil {
		t.Fatal("the copy was not broken off")
	}
	copied := target.Records()
	if len(copied) == 0 {
		t.Fatal("nothing was copied before")
	}
	for key := range copied {
		source.Do(tyrant.Request{Command: tyrant.Out, Key: []byte(key)})
	}
	if _, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: openState(t, path), UntilCaughtUp: true}); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, source, target)
}

// TestImportFollows cuts over while the source goes on: what was there at the signal is here afterwards.
func TestImportFollows(t *testing.T) {
	source, target := listen(t, t.TempDir()), listen(t, "")
	fill(source, 1000)
	cutOver, caughtUp := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var done *Imported
	var err error
	var importing sync.WaitGroup
	importing.Go(func() {
		done, err = Import(t.Context(), ImportConfig{
			Source: dialer(source), Target: dialer(target), State: openState(t, ""), CutOver: cutOver,
			Notice: func(text string) {
				if strings.HasPrefix(text, "caught up") {
					once.Do(func() { close(caughtUp) })
				}
			},
		})
	})
	<-caughtUp
	source.HangUp() // it connects again
	var writers sync.WaitGroup
	writers.Go(func() { (&randomWriter{Rand: rand.New(rand.NewPCG(1, 1))}).write(source, 19_000) })
	for range 5000 {
		source.Do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("counter"), Num: 1})
	}
	writers.Wait()
	close(cutOver)
	importing.Wait()
	if err != nil || !done.CaughtUp {
		t.Fatalf("got %+v, %v", done, err)
	}
	checkEqual(t, source, target)
	if done.SourceRecords != done.TargetRecords || done.SourceRecords == 0 {
		t.Errorf("%d records in the source, %d in the target", done.SourceRecords, done.TargetRecords)
	}
}

// TestImportMasked imports from a server that must not be written to, so that nothing can be marked in its log.
func TestImportMasked(t *testing.T) {
	source, target := listen(t, t.TempDir()), listen(t, "")
	fill(source, 1000)
	source.Mask()
	done, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: openState(t, ""), UntilCaughtUp: true})
	if err != nil || !done.CaughtUp {
		t.Fatalf("got %+v, %v", done, err)
	}
	checkEqual(t, source, target)
}

func TestImportWithoutLog(t *testing.T) {
	source, target := listen(t, ""), listen(t, "")
	fill(source, 1000)
	var notices []string
	done, err := Import(t.Context(), ImportConfig{
		Source: dialer(source), Target: dialer(target), State: openState(t, ""), Notice: func(text string) { notices = append(notices, text) },
	})
	if err != nil || done.HasLog || done.Stored != 1000 {
		t.Fatalf("got %+v, %v", done, err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "no update log") {
		t.Errorf("told %q", notices)
	}
	checkEqual(t, source, target)
}

// TestImportLarge has groups that are too large for one reply, and a value that is too large for it alone.
func TestImportLarge(t *testing.T) {
	source, target := listen(t, ""), listen(t, "")
	for i := range 20 {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{byte(i)}, 1<<20)})
	}
	source.Do(tyrant.Request{Command: tyrant.Put, Key: []byte("large"), Value: make([]byte, batchReply+1)})
	if _, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: openState(t, "")}); err != nil {
		t.Fatal(err)
	}
	want, got := source.Records(), target.Records()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%q has %d bytes, want %d", key, len(got[key]), len(value))
		}
	}
}

// TestImportSharedCursor has another client move the cursor.
func TestImportSharedCursor(t *testing.T) {
	for _, command := range []tyrant.Command{tyrant.IterInit, tyrant.IterNext} {
		source, target := listen(t, t.TempDir()), listen(t, "")
		fill(source, 3000)
		var once sync.Once
		config := ImportConfig{
			Source: dialer(source), Target: dialer(target), State: openState(t, statePath(t)), UntilCaughtUp: true,
			Progress: func(Progress) { once.Do(func() { source.Do(tyrant.Request{Command: command}) }) },
		}
		_, err := Import(t.Context(), config)
		if source.Count(tyrant.IterNext) > 0 && !errors.Is(err, ErrShared) {
			// The other client may have come after the last key was listed.
			if source.Count(tyrant.IterNext) < 3000 {
				t.Errorf("%v: got %v, want %v", command, err, ErrShared)
			}
		}
		config.ByPrefix = true
		if _, err := Import(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		checkEqual(t, source, target)
	}
}

func TestPrefixKeys(t *testing.T) {
	source := listen(t, "")
	fill(source, 200)
	for _, key := range []string{"", "k", "key", "\xff\xff", "\x00"} {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: []byte(key), Value: []byte("v")})
	}
	c, err := dialer(source)(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, limit := range []int{2, 7, 100, 10_000} {
		seen := map[string]int{}
		if err := prefixKeys(t.Context(), c, nil, limit, func(keys [][]byte) error {
			for _, key := range keys {
				seen[string(key)]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for key := range source.Records() {
			if seen[key] != 1 {
				t.Errorf("limit %d: %q came %d times", limit, key, seen[key])
			}
		}
	}
}

// TestImportRefusesState takes up an import where that would lose something.
func TestImportRefusesState(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *State)
		want   error
	}{
		"another server":  {func(s *State) { s.SID++ }, ErrOtherSource},
		"clock set back":  {func(s *State) { s.Time += 10 * overlap }, ErrGap},
		"log cut":         {func(s *State) { s.Time -= 10 * overlap }, ErrGap},
		"log cut in copy": {func(s *State) { s.Time, s.Mark = 0, "lost" }, ErrGap},
		"as it was":       {func(*State) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := listen(t, t.TempDir()), listen(t, "")
			fill(source, 10)
			path := statePath(t)
			run := func(s *StateFile) error {
				_, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: s, UntilCaughtUp: true})
				return err
			}
			if err := run(openState(t, path)); err != nil {
				t.Fatal(err)
			}
			s := openState(t, path)
			tt.change(&s.State)
			if name == "log cut in copy" { // as if the mark was further back than anything in the log
				s.Start -= 2 * overlap
			}
			if err := run(s); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	path := statePath(t)
	if err := openState(t, path).Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(path, "source", "elsewhere"); err == nil {
		t.Error("a state was taken for another target")
	}
}

func FuzzChange(f *testing.F) {
	for _, r := range []tyrant.Request{
		{Command: tyrant.Put, Key: []byte("k"), Value: []byte("v")},
		{Command: tyrant.AddInt, Key: []byte("k"), Num: 1},
		{Command: tyrant.Misc, Name: []byte("putlist"), Args: [][]byte{[]byte("k"), []byte("v"), []byte("odd")}},
		{Command: tyrant.Misc, Name: []byte("search")},
		{Command: tyrant.Vanish},
	} {
		f.Add(tyrant.AppendPayload(nil, &r, true))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := changeOf(&tyrant.Entry{Time: 1, Payload: payload})
		if (c.effect == changesKeys) != (len(c.keys) > 0) && c.effect != changesKeys {
			t.Errorf("effect %d with keys %q", c.effect, c.keys)
		}
		list := []entry{{1, payload}}
		var before []Before
		for _, key := range needed(list) {
			before = append(before, Before{Key: key, Value: []byte("1234"), Exists: true})
		}
		changed := computeStep(list, before)
		named := map[string]bool{}
		for _, key := range c.keys {
			named[string(key)] = true
		}
		for key, cell := range changed.cells {
			if cell.touched && !named[key] {
				t.Errorf("%q was changed and is not named", key)
			}
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add("version\t1.1.41\ntime\t12.345678\nsid\t7\nrnum\t5\ntype\thash\nbigend\t0\ncnt_iterinit\t1\ncnt_iternext\t2\n")
	f.Add("time\t99999999999999999999\n")
	f.Fuzz(func(t *testing.T, text string) {
		if i, err := parseInfo(text); err == nil && i.now < 0 {
			t.Errorf("the time is %d", i.now)
		}
	})
}

// TestImportVanish clears the source while it is followed.
func TestImportVanish(t *testing.T) {
	source, target := listen(t, t.TempDir()), listen(t, "")
	fill(source, 3000)
	cutOver := make(chan struct{})
	var once sync.Once
	done, err := Import(t.Context(), ImportConfig{
		Source: dialer(source), Target: dialer(target), State: openState(t, ""), CutOver: cutOver,
		Notice: func(text string) {
			if strings.HasPrefix(text, "caught up") {
				once.Do(func() {
					source.Do(tyrant.Request{Command: tyrant.Vanish})
					fill(source, 10)
					close(cutOver)
				})
			}
		},
	})
	if err != nil || done.Cleared != 1 {
		t.Fatalf("got %+v, %v", done, err)
	}
	checkEqual(t, source, target)
}

// A dry run reads and checks all, and changes neither end nor the state.
func TestImportDryRun(t *testing.T) {
	source, n := listen(t, t.TempDir()), startNode(t, 100)
	fill(source, 3000)
	source.Do(tyrant.Request{Command: tyrant.Put, Key: []byte("large"), Value: make([]byte, 101)})
	path, marks := statePath(t), source.Count(tyrant.Misc)
	done, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: n.dial, State: openState(t, path), DryRun: true})
	if err != nil || !done.DryRun || done.Read != 3001 || done.Stored != 3000 || done.count(reasonValue) != 1 || done.SourceRecords != 3001 || done.TargetRecords != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
	if len(n.items(t)) > 0 || source.Count(tyrant.Misc) != marks || openState(t, path).Begun() {
		t.Errorf("the node has %d records, the source got %d marks, and the state begun is %v", len(n.items(t)), source.Count(tyrant.Misc)-marks, openState(t, path).Begun())
	}
}

// Copy and log keep to the rate: of each, what one request takes is free.
func TestImportRate(t *testing.T) {
	source, target := listen(t, t.TempDir()), listen(t, "")
	fill(source, 60)
	began := time.Now()
	done, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: dialer(target), State: openState(t, ""), UntilCaughtUp: true, Rate: 100})
	if took := time.Since(began); err != nil || !done.CaughtUp || done.Stored < 60 || took < 450*time.Millisecond {
		t.Errorf("60 records at 100 a second: %+v, %v in %v", done, err, took)
	}
	checkEqual(t, source, target)
}

// TestImportToNode follows a source into a real node, which refuses what is too large again and again.
func TestImportToNode(t *testing.T) {
	source, n := listen(t, t.TempDir()), startNode(t, 100)
	fill(source, 1000)
	put := func(key string, size int) {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: []byte(key), Value: bytes.Repeat([]byte{'x'}, size)})
	}
	put("large", 101)
	path := statePath(t)
	run := func() *Imported {
		t.Helper()
		done, err := Import(t.Context(), ImportConfig{Source: dialer(source), Target: n.dial, State: openState(t, path), UntilCaughtUp: true})
		if err != nil || done.unaccounted() != 0 {
			t.Fatalf("got %+v, %v", done, err)
		}
		return done
	}
	if done := run(); done.count(reasonValue) == 0 || done.Stored < 1000 {
		t.Errorf("the first time: %+v", done)
	}
	put("small", 1)
	put("large", 102)
	source.Do(tyrant.Request{Command: tyrant.Out, Key: []byte("key\xff7")})
	if done := run(); done.Removed != 1 || done.count(reasonValue) == 0 {
		t.Errorf("later: %+v", done)
	}
	all, want := n.items(t), source.Records()
	delete(want, "large")
	if len(all) != len(want) {
		t.Errorf("the node has %d records, want %d", len(all), len(want))
	}
	for key, value := range want {
		if string(all[key].Value) != value {
			t.Errorf("%q: got %q, want %q", key, all[key].Value, value)
		}
	}
}
