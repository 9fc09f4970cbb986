package backup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// fileOf is a backup as Chain sees it.
func fileOf(t testing.TB, name string, b []byte) File {
	t.Helper()
	info, err := ReadInfo(strings.NewReader(string(b)), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return File{Path: name, Size: int64(len(b)), Info: info}
}

// Every time between the end of the full backup and that of the last one gives the state of that time.
func TestPointInTime(t *testing.T) {
	var clock wall
	st := openStore(t, func(c *store.Config) { c.Now = clock.now })
	s := newSource(st, 1)
	rng := rand.New(rand.NewPCG(5, 6))
	states := map[time.Time]map[string]string{}
	step := func(n int) {
		for range n {
			now := clock.advance(10 * time.Millisecond)
			if rng.IntN(150) == 0 {
				if _, err := st.FlushAll(0); err != nil {
					t.Fatal(err)
				}
				st.SweepFlush()
			}
			scribble(t, st, rng, 15)
			st.Flush()
			states[now] = dump(st)
		}
	}
	step(100)
	chain := [][]byte{take(t, s, nil)}
	begin := clock.now()
	for range 3 {
		step(100)
		chain = append(chain, take(t, s, chain[len(chain)-1]))
	}
	var files []File
	for i, b := range chain {
		files = append(files, fileOf(t, fmt.Sprint(i), b))
	}
	pick := func(until time.Time) ([][]byte, error) {
		picked, err := Chain(files, until)
		return chain[:len(picked)], err
	}
	for i := 0; i <= 300; i += 1 + rng.IntN(25) {
		until := begin.Add(time.Duration(i) * 10 * time.Millisecond)
		picked, err := pick(until)
		if err != nil {
			t.Fatalf("%v: %v", until, err)
		}
		if want := 1 + (i+99)/100; len(picked) != want {
			t.Errorf("%v: %d files picked, want %d", until, len(picked), want)
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			got, _ := restore(t, until.Add(9*time.Millisecond), picked...)
			wantSame(t, until.String(), dump(got), states[until])
		})
	}
	for what, until := range map[string]time.Time{"before the end of the full one": begin.Add(-time.Millisecond), "behind the end of the newest one": clock.now().Add(time.Millisecond)} {
		if _, err := pick(until); !errors.Is(err, ErrChain) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v: %v, want %q", until, err, what)
		}
	}
}

// A flush that was still to come at the time does not come in what is restored; without a time it does.
func TestPlannedFlush(t *testing.T) {
	var clock wall
	st := openStore(t, func(c *store.Config) { c.Now = clock.now })
	set(t, st, "k", "v")
	if _, err := st.FlushAll(uint64(hlc.Millis(clock.now().Add(time.Minute)))); err != nil {
		t.Fatal(err)
	}
	st.Flush()
	b := take(t, newSource(st, 1), nil)
	if got, _ := restore(t, clock.now(), b); len(dump(got)) != 1 {
		t.Errorf("as of then: %v", dump(got))
	}
	if got, _ := restore(t, time.Time{}, b); len(dump(got)) != 0 {
		t.Errorf("as of now, when the flush is over: %v", dump(got))
	}
}

func TestChain(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	file := func(id, parent byte, s int) File {
		f := File{Path: fmt.Sprint(id)}
		f.ID, f.Parent, f.Kind, f.Time = ID{id}, ID{parent}, Incremental, at(s)
		if parent == 0 {
			f.Kind = Full
		}
		return f
	}
	full1, a, b, full2, c := file(1, 0, 10), file(2, 1, 20), file(3, 2, 30), file(4, 0, 40), file(5, 4, 50)
	for _, tt := range []struct {
		files []File
		until time.Time
		want  string // ids, or part of the error
	}{
		{[]File{b, full1, a}, time.Time{}, "1 2 3"},
		{[]File{full1, a, b, full2, c}, time.Time{}, "4 5"},
		{[]File{full1, a, b, full2, c}, at(45), "4 5"},
		{[]File{full1, a, b, full2, c}, at(40), "4"},
		{[]File{full1, a, b, full2, c}, at(35), "end of the full one"}, // between the last of one chain and the first of the next
		{[]File{full1, a, b, full2, c}, at(25), "1 2 3"},
		{[]File{full1, a, b, full2, c}, at(20), "1 2"},
		{[]File{full1, a, b, full2, c}, at(5), "before the end of the full one"},
		{[]File{full1, a, b, full2, c}, at(55), "behind the end of the newest one"},
		{[]File{full1, b}, time.Time{}, "the one before 3 is missing"},
		{[]File{full1, b, full2}, at(25), "before the end of the full one"},
		{[]File{file(6, 7, 1), file(7, 6, 2)}, time.Time{}, "missing"}, // made up: in a circle
		{nil, time.Time{}, "there is none"},
	} {
		picked, err := Chain(tt.files, tt.until)
		var ids []string
		for _, f := range picked {
			ids = append(ids, f.Path)
		}
		got := strings.Join(ids, " ")
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tt.want || err != nil && !strings.Contains(got, tt.want) {
			t.Errorf("until %v: got %s, want %s", tt.until, got, tt.want)
		}
	}
}
