package tyrant

import "testing"

func TestCommandString(t *testing.T) {
	names := map[string]Command{}
	known := 0
	for c := range 256 {
		name := Command(c).String()
		if other, ok := names[name]; ok {
			t.Errorf("commands %#x and %#x are both called %s", uint8(other), c, name)
		}
		names[name] = Command(c)
		if shapes[c].name != "" {
			known++
		}
	}
	if known != len(goldenRequests) {
		t.Errorf("got %d commands, want %d", known, len(goldenRequests))
	}
	for name, want := range map[string]Command{"putnr": 0x18, "fwmkeys": 0x58, "misc": 0x90, "repl": 0xa0, "0x19": 0x19, "0x0": 0} {
		if got, ok := names[name]; !ok || got != want {
			t.Errorf("%s: got command %#x, want %#x", name, uint8(got), uint8(want))
		}
	}
}
