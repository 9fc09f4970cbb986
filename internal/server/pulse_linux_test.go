package server

import "testing"

func TestPulse(t *testing.T) {
	s := startServer(t, openStore(t, nil), nil)
	if !s.Pulse() {
		t.Error("the first look finds a stop")
	}
	for i, l := range s.loops {
		eventually(t, "an idle loop comes round", func() bool { return l.rounds.Load() > s.pulse.seen[i] })
	}
	if !s.Pulse() {
		t.Error("idle loops seem to stand still")
	}
	standing, err := New(testConfig(t, "127.0.0.1:0"), s.store)
	if err != nil {
		t.Fatal(err)
	}
	defer standing.closeLoops()
	if !standing.Pulse() || standing.Pulse() {
		t.Error("loops that do not run: want true, then false")
	}
}
