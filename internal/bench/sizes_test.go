package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestParseSizes(t *testing.T) {
	tests := []struct {
		text, back string
		largest    int
		err        string
	}{
		{"100", "100", 100, ""},
		{"0", "0", 0, ""},
		{"32-4096", "32-4096", 4096, ""},
		{"100:9,10000:1", "100:9,10000", 10000, ""},
		{"10-20:0.5,7", "10-20:0.5,7", 20, ""},
		{"5-5", "5", 5, ""},
		{"", "", 0, "must be SIZE"},
		{"x", "", 0, "must be SIZE"},
		{"1,", "", 0, "must be SIZE"},
		{"1-", "", 0, "must be SIZE"},
		{"-1", "", 0, "must be SIZE"},
		{"1:", "", 0, "must be SIZE"},
		{"9-1", "", 0, "value-size 9-1"},
		{"536870913", "", 0, "must be 0 to 536870912"},
		{"1:0", "", 0, "weight 0"},
		{"1:-1", "", 0, "weight -1"},
		{"1:NaN", "", 0, "weight NaN"},
		{"1:1e300", "", 0, "weight 1e+300"},
		{strings.Repeat("1,", maxSizeRanges) + "1", "", 0, "101 parts"},
	}
	for _, tt := range tests {
		s, err := ParseSizes(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%.30q: got error %v, want one with %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || s.String() != tt.back || s.largest() != tt.largest {
			t.Errorf("%q: got %q up to %d and error %v, want %q up to %d", tt.text, s, s.largest(), err, tt.back, tt.largest)
		}
	}
}

func FuzzParseSizes(f *testing.F) {
	for _, text := range []string{"100", "32-4096", "100:9,10000:1", "1-2:0.5,7"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSizes(text)
		if err != nil {
			return
		}
		if again, err := ParseSizes(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q: reads as %q, that as %q with error %v", text, s, again, err)
		}
		r := newRandom(1, 0)
		for range 10 {
			size := 0
			if size, r = newSizeChooser(s).draw(r); size < 0 || size > s.largest() {
				t.Errorf("%q: drew %d, the largest is %d", text, size, s.largest())
			}
		}
	})
}

func TestSizesJSON(t *testing.T) {
	j, err := json.Marshal(Config{ValueSizes: Sizes{{1, 9, 2}}})
	if err != nil || !strings.Contains(string(j), `"value_sizes":"1-9:2"`) {
		t.Fatalf("got %s and error %v", j, err)
	}
	var back Config
	if err := json.Unmarshal(j, &back); err != nil || back.ValueSizes.String() != "1-9:2" {
		t.Errorf("read back %q and error %v", back.ValueSizes, err)
	}
	if j, _ := json.Marshal(Config{}); strings.Contains(string(j), "value_sizes") {
		t.Errorf("no sizes: got %s", j)
	}
}

func TestSizesDraw(t *testing.T) {
	s, err := ParseSizes("10-19:3,500:1")
	if err != nil {
		t.Fatal(err)
	}
	c, r := newSizeChooser(s), newRandom(1, 0)
	const n = 100_000
	counts := make(map[int]float64)
	for range n {
		var size int
		size, r = c.draw(r)
		counts[size] += 1.0 / n
	}
	for size := 10; size < 20; size++ {
		if math.Abs(counts[size]-0.075) > 0.005 {
			t.Errorf("share of %d: got %.3f want 0.075", size, counts[size])
		}
	}
	if math.Abs(counts[500]-0.25) > 0.01 || len(counts) != 11 {
		t.Errorf("share of 500: got %.3f want 0.25; %d sizes, want 11", counts[500], len(counts))
	}
}

func TestFixedSize(t *testing.T) {
	for text, want := range map[string]bool{"100": true, "7:3,7": true, "1-2": false, "1,2": false} {
		s, err := ParseSizes(text)
		if err != nil {
			t.Fatal(err)
		}
		if size, ok := s.Fixed(); ok != want || ok && size != s[0].Min {
			t.Errorf("%q: got %d, %t", text, size, ok)
		}
	}
}
