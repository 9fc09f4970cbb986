package rediscluster

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

// written is what the script answers to a write.
const written = "$26\r\nS1234567890123456789012345\r\n"

// TestTogetherLosesAnswers has a node break the connection in the middle of the answers: the writes behind have an unknown effect, the others
// have not, and none is sent again. Reads are.
func TestTogetherLosesAnswers(t *testing.T) {
	const count, answered = 10, 4
	f := startFake(t)
	var mu sync.Mutex
	sent := map[string]int{}
	f.answer = func(words []string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if words[0] == "GETRANGE" || words[0] == "GET" {
			return "$0\r\n\r\n", false
		}
		sent[words[3]]++
		if len(sent) > answered {
			return "", true
		}
		return written, false
	}
	s := openFake(t, f, 5*time.Second, 0)
	writes, reads := make([]store.Write, count), []store.Read{{Key: []byte("r")}}
	for i := range writes {
		writes[i] = store.Write{Request: &store.Request{Op: store.Set, Key: fmt.Appendf(nil, "k%d", i)}, Result: new(store.Result)}
	}
	s.Together(reads, 100, writes)
	for i := range writes {
		if err := writes[i].Err; i < answered && err != nil || i >= answered && !errors.Is(err, store.ErrUnknown) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	for key, n := range sent {
		if n > 1 {
			t.Errorf("%s was sent %d times", key, n)
		}
	}
	if reads[0].Found || reads[0].View.Fault != nil {
		t.Errorf("read: %v, %v", reads[0].Found, reads[0].View.Fault)
	}
	if n := s.Counts().Unknown; n != count-answered {
		t.Errorf("%d unknown, want %d", n, count-answered)
	}
}

// TestTogetherEachByItself has a node refuse one write, put off another and execute the rest: each ends as it would alone.
func TestTogetherEachByItself(t *testing.T) {
	f := startFake(t)
	var mu sync.Mutex
	sent := map[string]int{}
	f.answer = func(words []string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		key := words[3]
		if words[0] == "GETRANGE" {
			key = words[1]
		}
		sent[key]++
		switch {
		case key == "futago:k:full":
			return "-OOM command not allowed when used memory > 'maxmemory'.\r\n", false
		case sent[key] == 1 && key == "futago:k:later":
			return "-CLUSTERDOWN The cluster is down\r\n", false
		case sent[key] == 1 && key == "futago:k:new":
			return "-NOSCRIPT No matching script.\r\n", false
		case key == "futago:k:foreign":
			return "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", false
		}
		return written, false
	}
	s := openFake(t, f, time.Minute, 0)
	want := map[string]error{"full": store.ErrNoMemory, "later": nil, "new": nil, "foreign": store.ErrForeign, "good": nil}
	var writes []store.Write
	for key := range want {
		writes = append(writes, store.Write{Request: &store.Request{Op: store.Set, Key: []byte(key)}, Result: new(store.Result)})
	}
	s.Together(nil, 100, writes)
	for _, w := range writes {
		if !errors.Is(w.Err, want[string(w.Request.Key)]) {
			t.Errorf("%s: %v", w.Request.Key, w.Err)
		}
	}
	for key, n := range map[string]int{"full": 1, "later": 2, "foreign": 1, "good": 1} {
		if got := sent["futago:k:"+key]; got != n {
			t.Errorf("%s was sent %d times, want %d", key, got, n)
		}
	}
}
