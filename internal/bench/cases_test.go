package bench

import (
	"slices"
	"testing"
)

// TestMatches looks for what measuring would stumble over or mix up.
func TestMatches(t *testing.T) {
	type id struct{ group, placement, name, server string }
	seen := map[id]bool{}
	for _, m := range allMatches("futago", placement{name: "pinned"}) {
		if len(m.peers) < 2 || len(m.cases) == 0 {
			t.Errorf("%s: got %d servers and %d cases, want something to compare", m.group, len(m.peers), len(m.cases))
		}
		for _, bc := range m.cases {
			for _, p := range m.peers {
				c := DefaultConfig()
				c.Protocol = p.protocol
				bc.alter(&c)
				if err := c.Validate(); err != nil {
					t.Errorf("%s, %s, %s: %v", m.group, bc.name, p.name, err)
				}
				this := id{m.group, m.place.name, bc.name, p.name}
				if seen[this] {
					t.Errorf("%v is there twice", this)
				}
				seen[this] = true
			}
		}
	}
	for _, target := range targets {
		for _, server := range []string{target.judged(), target.against()} {
			if this := (id{target.group, target.placement, target.benchCase, server}); !seen[this] {
				t.Errorf("a target compares %v, which is never measured", this)
			}
		}
	}
}

func TestCompareGroups(t *testing.T) {
	names := CompareGroups()
	sorted := slices.Sorted(slices.Values(names))
	if len(names) == 0 || names[0] != "core" || len(slices.Compact(sorted)) != len(names) {
		t.Errorf("got groups %q, want each once and core first", names)
	}
}
