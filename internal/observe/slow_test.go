package observe

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func TestSlowLog(t *testing.T) {
	var l SlowLog
	if len(l.Recent(10)) != 0 {
		t.Error("an empty log has notes")
	}
	key := bytes.Repeat([]byte("k"), slowKey+1)
	for i := range slowKept + 3 {
		copy(key, fmt.Sprintf("%03d", i))
		l.Note(Slow{Took: time.Duration(i) * time.Millisecond, Waited: ForGate, Command: "set", Key: key})
	}
	copy(key, "xxx") // the caller uses it again
	all := l.Recent(1000)
	if len(all) != slowKept {
		t.Fatalf("got %d notes, want %d", len(all), slowKept)
	}
	for i, s := range all {
		n := slowKept + 2 - i
		if s.Seconds != float64(n)/1000 || string(s.Key[:3]) != fmt.Sprintf("%03d", n) || len(s.Key) != slowKey || s.KeySize != slowKey+1 ||
			s.Reason != "ack" || s.Requests != 1 {
			t.Fatalf("note %d: got %+v", i, s)
		}
	}
	l.Note(Slow{Waited: ForLog})
	if two := l.Recent(2); len(two) != 2 || two[0].Key != nil || two[0].Reason != "log" || two[1].Key == nil {
		t.Errorf("the last two: got %+v", two)
	}
	if l.Count(ForGate) != slowKept+3 || l.Count(ForLog) != 1 || l.Count(ForExecution) != 0 {
		t.Errorf("counts: got %d, %d, %d", l.Count(ForGate), l.Count(ForLog), l.Count(ForExecution))
	}
	if l.SetThreshold(time.Second); l.Threshold() != time.Second {
		t.Errorf("threshold: got %v", l.Threshold())
	}
}
