package servers

import (
	"slices"
	"strings"
	"testing"
)

const (
	idA = "07c37dfeb235213a872192d90877d0cd55635b91"
	idB = "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1"
	idC = "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f"
)

// viewText is a reply of Redis 7.0.15.
const viewText = idA + " 127.9.0.1:30004@31004 slave " + idB + " 0 1426238317239 4 connected\n" +
	idB + " 127.9.0.1:30002@31002 master,fail - 1426238316232 0 2 disconnected 5461-10921 10923\n" +
	idC + " 127.9.0.1:30003@31003 myself,master - 0 1426238318243 3 connected 10924-16383 [10922->-" + idA + "]\n"

func TestParseView(t *testing.T) {
	v, err := parseView(viewText)
	if err != nil {
		t.Fatal(err)
	}
	if self := v.Self(); self.ID != idC || !self.Master() || self.Epoch != 3 || self.Follows != "" {
		t.Errorf("self: got %+v", self)
	}
	if m, ok := v.member(idA); !ok || m.Master() || m.Follows != idB {
		t.Errorf("replica: got %+v, %v", m, ok)
	}
	if m, ok := v.member(idB); !ok || !m.has("fail") {
		t.Errorf("failed master: got %+v, %v", m, ok)
	}
	for slot, want := range map[int]string{0: "", 5460: "", 5461: idB, 10921: idB, 10922: "", 10923: idB, 10924: idC, 16383: idC} {
		if got := v.Owners[slot]; got != want {
			t.Errorf("slot %d: got keeper %q want %q", slot, got, want)
		}
	}
}

func TestParseViewRefuses(t *testing.T) {
	line := func(slots string) string {
		return idC + " 127.9.0.1:3@4 myself,master - 0 0 3 connected " + slots + "\n"
	}
	for _, text := range []string{
		"", "\n", "one two", line("16384"), line("-1"), line("5-3"), line("0-16384"), line("x"),
		strings.Replace(line("0"), " 3 connected", " x connected", 1),
		strings.Replace(line("0"), "myself,", "", 1),
	} {
		if _, err := parseView(text); err == nil {
			t.Errorf("parse %q: got no error", text)
		}
	}
}

func FuzzParseView(f *testing.F) {
	f.Add(viewText)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseView(text)
		if err != nil {
			return
		}
		if !v.Self().has("myself") {
			t.Errorf("self of %q: got %+v", text, v.Self())
		}
		owners := slices.Compact(v.Owners[:])
		for i, owner := range owners {
			if _, ok := v.member(owner); owner != "" && !ok {
				t.Fatalf("keeper %d of %q, %q: no member", i, text, owner)
			}
		}
	})
}
