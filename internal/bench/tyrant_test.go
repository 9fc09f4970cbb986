package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestCompareTyrant(t *testing.T) {
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	var raw, log strings.Builder
	c := CompareConfig{Futago: os.Args[0], Rounds: 2, Window: 20 * time.Millisecond, Raw: &raw, Log: &log}
	m := match{group: "tyrant", place: placement{"pinned", cpus[0], cpus[len(cpus)-1:]}, cases: tyrantCases, peers: []*peer{
		fakePeer("cache"), fakePeer("node, memcache"), fakePeer("node, tyrant").by(Tyrant),
	}}
	const records = 1000
	report, err := compareTyrant(t.Context(), c, m, records)
	if err != nil {
		t.Fatal(err)
	}
	if want := 3 * len(tyrantCases); len(report.rows) != want {
		t.Errorf("got %d rows, want %d", len(report.rows), want)
	}
	protocols := map[string]string{"cache": Memcache, "node, memcache": Memcache, "node, tyrant": Tyrant}
	for _, row := range report.rows {
		if len(row.results) != 2 {
			t.Errorf("%s, %s: got %d results, want one of each round", row.benchCase, row.server, len(row.results))
		}
		if got := row.results[0].Config.Protocol; got != protocols[row.server] {
			t.Errorf("%s, %s: protocol %q, want %q", row.benchCase, row.server, got, protocols[row.server])
		}
	}
	if got, want := strings.Count(raw.String(), "\n"), 2*len(report.rows); got != want {
		t.Errorf("got %d raw lines, want %d", got, want)
	}
	if got := strings.Count(log.String(), "\n"); got != 4 {
		t.Errorf("log has %d lines, want one for each of 4 rounds:\n%s", got, log.String())
	}
	if len(report.tables) != 2 {
		t.Fatalf("got %d tables of fwmkeys, want the calls and the gets", len(report.tables))
	}
	calls, gets := report.tables[0], report.tables[1]
	for name, keys := range map[string]float64{"of 10 keys": 10, "of all keys": records} {
		row := calls.row(name)
		if row == nil || len(row.Rounds) != 2 || row.Medians[0] <= 0 || row.Medians[1] < row.Medians[0] || row.Medians[2] < 1 || row.Medians[3] != keys {
			t.Errorf("calls %s: got %+v, want times and %g keys in two rounds", name, row, keys)
		}
	}
	for _, name := range []string{"alone", "beside fwmkeys of 10 keys", "beside fwmkeys of all keys"} {
		row := gets.row(name)
		if row == nil || len(row.Rounds) != 2 || row.Medians[0] <= 0 || row.Medians[4] <= 0 || len(row.Rounds[0].Doubts) > 0 {
			t.Errorf("gets %s: got %+v, want latencies and gets without doubts in two rounds", name, row)
		}
	}
	var text strings.Builder
	if err := report.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"node, tyrant", "100-key gets", "fwmkeys: one client asks again and again, of 1000 keys of 16 bytes", "beside fwmkeys of all keys"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, text.String())
		}
	}
}

func TestCompareTyrantValidates(t *testing.T) {
	_, err := CompareTyrant(t.Context(), CompareConfig{}, 9)
	for _, want := range []string{"futago is empty", "records 9: must be 10 to 50000000"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
}

func TestListerErrors(t *testing.T) {
	tests := []struct{ name, reply, want string }{
		{"another number of keys", "", "found 0 keys, want 10"},
		{"refused", "\x01\x00\x00\x00\x00", "status 1"},
		{"closed", "close", "closed the connection"},
		{"not the protocol", "ERROR\r\n", "not Tokyo Tyrant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &fakeServer{protocol: Tyrant, before: func(int) string { return tt.reply }}
			l, err := dialLister(t.Context(), server.start(t))
			if err != nil {
				t.Fatal(err)
			}
			defer l.nc.Close()
			var times histogram
			if err := l.timed([]byte("k0"), 10, &times); err == nil || !strings.Contains(err.Error(), tt.want) || times.n != 0 {
				t.Errorf("got error %v and %d times, want one with %q and none", err, times.n, tt.want)
			}
		})
	}
}
