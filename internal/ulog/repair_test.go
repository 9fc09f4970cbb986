package ulog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/record"
)

// files reads a disk as an image, cut files included.
func (d *crashDisk) files(t testing.TB) image { return imageOf(t, d) }

// mended checks verify and repair on a damaged log: verify is sound exactly when the log opens and all of it can be read;
// after a repair it is sound, opens, and has all that was not lost; a second repair finds nothing to do.
func mended(t *testing.T, what string, img image, disk *crashDisk, h *history) (outcome string) {
	t.Helper()
	before := disk.files(t)
	report, err := Verify(disk, nil)
	if err == errNoManifest && len(before.names(".log"))+len(before.names(".compacted")) == 0 {
		return "hopeless"
	}
	if err != nil {
		t.Fatalf("%s: verify: %v", what, err)
	}
	if _, err := Repair(RepairConfig{FS: disk, Dry: true}); err != nil && report.Damage[0].File != manifestName {
		t.Fatalf("%s: dry repair: %v", what, err)
	}
	if now := disk.files(t); !maps.EqualFunc(before, now, bytes.Equal) {
		t.Fatalf("%s: verify or a dry repair changed something", what)
	}
	o, err := openOwned(config(disk.kill(), Never))
	if err == nil {
		err = o.readAll()
		if report.Sound() && o.l.Last() != report.Last {
			t.Fatalf("%s: log ends at %d, verify said %d", what, o.l.Last(), report.Last)
		}
		if report.Sound() && err != nil {
			t.Fatalf("%s: verify found %+v, reading %v", what, report.Damage, err)
		}
		if (report.Torn != nil) != (o.l.Cut() != nil) {
			t.Fatalf("%s: verify found torn %+v, the start cut %+v; damage %+v", what, report.Torn, o.l.Cut(), report.Damage)
		}
		o.close(t)
	} else if report.Sound() {
		t.Fatalf("%s: verify found nothing, open says %v", what, err)
	}
	cfg := RepairConfig{FS: disk}
	if len(report.Damage) > 0 && report.Damage[0].File == manifestName {
		if _, err := Repair(cfg); wantCorrupt(t, err).Segment != manifestName {
			t.Fatal(err)
		}
		cfg.Node = 1
	}
	done, err := Repair(cfg)
	if err != nil && cfg.Node != 0 && strings.Contains(err.Error(), "no two entries are left") {
		return "hopeless"
	}
	if err != nil {
		t.Fatalf("%s: repair: %v", what, err)
	}
	if done.Rebuilt {
		report = &done.Report
		outcome = "rebuilt, "
	}
	if report.Sound() {
		if now := disk.files(t); !maps.EqualFunc(before, now, bytes.Equal) {
			t.Fatalf("%s: repair changed a sound log: %+v", what, done)
		}
		return "sound"
	}
	for _, name := range done.Kept { // the bytes are those that were there
		var off int
		seg := strings.TrimPrefix(name, "cut-")
		i := strings.LastIndexByte(seg, '-')
		fmt.Sscan(seg[i+1:], &off)
		if kept := fileBytes(t, disk, name); len(kept) == 0 || !bytes.HasPrefix(before[seg[:i]][off:], kept) {
			t.Fatalf("%s: %s has other bytes than the segment had", what, name)
		}
	}
	after, err := Verify(disk, nil)
	if err != nil || !after.Sound() {
		t.Fatalf("%s: after the repair: %+v, %v", what, after, err)
	}
	files := disk.files(t)
	if again, err := Repair(RepairConfig{FS: disk}); err != nil || !maps.EqualFunc(files, disk.files(t), bytes.Equal) {
		t.Fatalf("%s: a second repair did something: %+v, %v", what, again, err)
	}
	o, err = openOwned(config(disk, Never))
	if err != nil {
		t.Fatalf("%s: open after the repair: %v", what, err)
	}
	defer o.close(t)
	if err := o.readAll(); err != nil {
		t.Fatalf("%s: after the repair: %v", what, err)
	}
	lost := done.Rebuilt || slices.ContainsFunc(report.Damage, func(d Damage) bool { return d.Lost })
	if o.l.Hole() != lost || done.NewLife != lost {
		t.Fatalf("%s: damage %+v, hole %v, repair %+v", what, report.Damage, o.l.Hole(), done)
	}
	ruined := 0
	for name, b := range img {
		if !bytes.Equal(b, before[name]) {
			ruined++
		}
	}
	// Without its manifest nobody knows whether a segment is missing.
	o.isFrom(t, what, h, report, done, !done.Rebuilt || ruined == 1)
	if lost {
		return outcome + "lost"
	}
	return "repaired"
}

// readAll reads every key.
func (o *owner) readAll() error {
	for _, loc := range o.keys {
		if _, err := o.l.Read(loc); err != nil {
			return err
		}
	}
	return nil
}

// isFrom checks that each key has its newest record, or an older one when as many newer ones are lost.
func (o *owner) isFrom(t *testing.T, what string, h *history, report *Report, done *Repaired, counted bool) {
	t.Helper()
	newest := map[string][]int{}
	for i, raw := range h.upTo(done.NextLast) {
		if _, special := name(raw); !special {
			key := string(record.Raw(raw).Key())
			newest[key] = append(newest[key], i+1)
		}
	}
	older := 0
	for key, seqs := range newest {
		loc, ok := o.keys[o.l.Hash([]byte(key))]
		if !ok {
			older++
			continue
		}
		raw, err := o.l.Read(loc)
		if err != nil {
			t.Fatalf("%s: key %q: %v", what, key, err)
		}
		i := slices.IndexFunc(seqs, func(seq int) bool { return bytes.Equal(h.recs[seq-1], raw) })
		if i < 0 {
			t.Fatalf("%s: key %q has a record that never was: %x", what, key, []byte(raw))
		}
		if i != len(seqs)-1 {
			older++
		}
	}
	var lost uint64
	for _, d := range report.Damage {
		if d.Entries == 0 && d.Lost {
			lost += 1 << 32
		}
		lost += d.Entries
	}
	if uint64(older) > lost && counted {
		t.Fatalf("%s: %d keys are not at their newest, but only %d entries were reported as lost: %+v", what, older, lost, report.Damage)
	}
}

func TestRepairEveryByte(t *testing.T) {
	img, h := richLog(t)
	rng, oneIn := rand.New(rand.NewPCG(5, 9)), 150
	if os.Getenv("FUTAGO_SEEDS") != "" {
		oneIn = 10
	}
	outcome := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(img)) {
		for i := range img[name] {
			if rng.IntN(oneIn) != 0 || isZero(img[name][i:]) && i%64 != 0 {
				continue
			}
			b := bytes.Clone(img[name])
			b[i] ^= 1 << rng.IntN(8)
			boot := []string{"boot 0+", otherBoot}[rng.IntN(2)]
			outcome[mended(t, fmt.Sprintf("%s at %d, %s", name, i, boot), img, img.disk(boot, image{name: b}), h)]++
		}
	}
	t.Log(outcome)
	if len(outcome) != 4 {
		t.Fatalf("not all outcomes were met: %v", outcome)
	}
}

// Much is damaged at once: bytes, blocks, ends, whole files.
func TestRepairRuins(t *testing.T) {
	img, h := richLog(t)
	torn, tornHistory := written(t, 4096, 30, 110)
	names, outcome := slices.Sorted(maps.Keys(img)), map[string]int{}
	for _, seed := range seeds(t, 100) {
		rng := rand.New(rand.NewPCG(seed, 77))
		img, h, names := img, h, names
		if rng.IntN(2) == 0 {
			img, h = torn, tornHistory
			names = slices.Sorted(maps.Keys(img))
		}
		ruins := image{}
		for range 1 + rng.IntN(6) {
			name := names[rng.IntN(len(names))]
			b := bytes.Clone(img[name])
			if ruins[name] != nil {
				b = ruins[name]
			}
			if len(b) == 0 {
				continue
			}
			off := rng.IntN(len(b))
			switch rng.IntN(6) {
			case 0:
				b[off] ^= 1 << rng.IntN(8)
			case 1:
				clear(b[off:min(off+rng.IntN(2000), len(b))])
			case 2:
				copy(b[off&^7:], b[rng.IntN(len(b))&^7:]) // entries in the wrong place
			case 3:
				b = b[:off]
			case 4:
				copy(b[off:], newMaker(seed).bytes(rng.IntN(600)))
			case 5:
				b = nil
			}
			ruins[name] = b
		}
		boot := []string{"boot 0+", sameBoot, otherBoot}[rng.IntN(3)]
		outcome[mended(t, fmt.Sprintf("seed %d", seed), img, img.disk(boot, ruins), h)]++
	}
	t.Log(outcome)
}

// A repair that dies at any step is begun again.
func TestRepairIsInterrupted(t *testing.T) {
	img, _ := richLog(t)
	for _, list := range [][]string{img.names(".log"), img.names(".compacted")} {
		b := bytes.Clone(img[list[0]])
		b[segmentHeader+40] ^= 1
		img[list[0]] = b
	}
	for n := 1; ; n++ {
		tap := &tapped{FS: img.disk("boot 0+", nil)}
		calls := 0
		tap.on(func(string, string) error {
			if calls++; calls >= n {
				return errDisk
			}
			return nil
		}, nil)
		_, err := Repair(RepairConfig{FS: tap})
		if calls < n {
			if err != nil || n < 10 {
				t.Fatalf("a repair of %d steps: %v", n, err)
			}
			return
		}
		if err == nil && calls == n {
			t.Fatalf("step %d failed and nobody says so", n)
		}
		tap.on(nil, nil)
		if _, err := Repair(RepairConfig{FS: tap}); err != nil {
			t.Fatalf("after step %d had failed: %v", n, err)
		}
		if r, err := Verify(tap, nil); err != nil || !r.Sound() || !r.Hole {
			t.Fatalf("after step %d had failed: %+v, %v", n, r, err)
		}
		o := mustOpen(t, config(tap, Never))
		if err := o.readAll(); err != nil || !o.l.Hole() {
			t.Fatal(err)
		}
		o.close(t)
	}
}

// A folder of random bytes is repaired, and opens then, whatever a hint and the manifest say of them.
func FuzzRepair(f *testing.F) {
	img, _ := closedLog(f, 60)
	segs := img.names(".log")
	hint := img.names(".hint")[0]
	f.Add(img[segs[0]], img[segs[1]], img[hint], true, uint64(0))
	f.Add(img[segs[1]], img[segs[0]], []byte{}, false, uint64(40))
	f.Add(make([]byte, 4096), img[segs[1]][:1000], img[hint][:100], false, uint64(3))
	f.Fuzz(func(t *testing.T, a, b, h []byte, same bool, streamFrom uint64) {
		if len(a) > 8192 || len(b) > 8192 || len(h) > 8192 {
			return
		}
		m, err := decodeManifest(img[manifestName])
		if err != nil {
			t.Fatal(err)
		}
		m.StreamFrom = streamFrom % (maxTail << 8)
		man, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		boot := otherBoot
		if same {
			boot = sameBoot
		}
		disk := img.disk(boot, image{segs[0]: slices.Grow(a, 1), segs[1]: slices.Grow(b, 1), hint: slices.Grow(h, 1), manifestName: man})
		report, err := Verify(disk, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Entries(disk, func(Entry) bool { return true }); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), RestoreConfig{From: disk, To: newCrashDisk(), Time: at(1 << 40), Partial: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := Repair(RepairConfig{FS: disk}); err != nil {
			t.Fatal(err)
		}
		o, err := openOwned(config(disk, Never))
		if err != nil {
			t.Fatalf("open after the repair: %v; before it: %+v", err, report)
		}
		if err := o.readAll(); err != nil {
			t.Fatal(err)
		}
		o.close(t)
	})
}

// Only one that does not run is repaired.
func TestRepairOfAUsedLog(t *testing.T) {
	g := newGround(t)
	defer g.close(t)
	g.write(t, 10)
	if _, err := Repair(RepairConfig{FS: g.cfg.FS}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v, want a refusal", err)
	}
	if r, err := Verify(g.cfg.FS, nil); err != nil || !r.Sound() || r.Last != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := Verify(newCrashDisk(), nil); err == nil || errors.As(err, new(*CorruptError)) {
		t.Fatalf("an empty folder: %v", err)
	}
}
