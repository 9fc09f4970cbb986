package bench

import (
	"os"
	"strings"
	"testing"
)

const smapsRollup = "00400000-7ffc8de14000 ---p 00000000 00:00 0                              [rollup]\n" +
	"Rss:               23240 kB\nPss:               15352 kB\nPss_Anon:           7304 kB\n" +
	"Anonymous:          7304 kB\nAnonHugePages:         0 kB\n"

func TestParseSmapsRollup(t *testing.T) {
	tests := []struct {
		name, text string
		want       memory
		ok         bool
	}{
		{"real", smapsRollup, memory{anonymous: 7304 << 10, file: (23240 - 7304) << 10}, true},
		{"empty", "", memory{}, false},
		{"no Rss", "Anonymous: 1 kB\n", memory{}, false},
		{"twice", "Rss: 9 kB\nRss: 9 kB\n", memory{}, false},
		{"no number", "Rss: x kB\nAnonymous: 1 kB\n", memory{}, false},
		{"more than all", "Rss: 1 kB\nAnonymous: 2 kB\n", memory{}, false},
		{"too large", "Rss: 99999999999999999999 kB\nAnonymous: 2 kB\n", memory{}, false},
	}
	for _, tt := range tests {
		got, err := parseSmapsRollup([]byte(tt.text))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: got %+v, %v; want %+v, ok %t", tt.name, got, err, tt.want, tt.ok)
		}
	}
}

func TestReadMemory(t *testing.T) {
	m, err := readMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.anonymous < 1<<20 || m.file < 1<<20 {
		t.Errorf("this program has %+v, want a megabyte of each at least", m)
	}
	if _, err := readMemory(1 << 30); err == nil || !strings.Contains(err.Error(), "process 1073741824") {
		t.Errorf("no such process: got error %v, want one that names it", err)
	}
}

func FuzzParseSmapsRollup(f *testing.F) {
	f.Add([]byte(smapsRollup))
	f.Add([]byte("Rss: 1 kB\nAnonymous: 1 kB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseSmapsRollup(text)
		if err != nil && m != (memory{}) {
			t.Errorf("got %+v with error %v", m, err)
		}
		if m.anonymous+m.file > 1<<61 {
			t.Errorf("got %+v, larger than any memory", m)
		}
	})
}
