package profile

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, c Config, path string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	c.Handle(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestOff(t *testing.T) {
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1"} {
		if w := get(t, Config{}, path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: got status %d, want %d", path, w.Code, http.StatusNotFound)
		}
	}
}

// TestOn reads every profile in its binary form, which is a gzip stream, and looks at what is recorded.
func TestOn(t *testing.T) {
	before := runtime.SetMutexProfileFraction(-1)
	t.Cleanup(func() {
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(before)
	})
	c := Config{On: true, BlockRate: time.Microsecond, MutexFraction: 7}
	for _, path := range []string{"allocs", "block", "goroutine", "heap", "mutex", "profile?seconds=1"} {
		w := get(t, c, "/debug/pprof/"+path)
		if w.Code != http.StatusOK || !bytes.HasPrefix(w.Body.Bytes(), []byte{0x1f, 0x8b}) {
			t.Errorf("GET %s: got status %d, %d bytes that begin with %.10q, want a gzip stream", path, w.Code, w.Body.Len(), w.Body)
		}
	}
	if w := get(t, c, "/debug/pprof/"); !strings.Contains(w.Body.String(), "goroutine?debug=1") {
		t.Errorf("the index does not list the profiles: %q", w.Body)
	}
	if got := runtime.SetMutexProfileFraction(-1); got != 7 {
		t.Errorf("mutex fraction: got %d, want 7", got)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name    string
		config  Config
		adminOn bool
		names   string // the setting that the only problem begins with; "" is none
	}{
		{"off", Config{}, true, ""},
		{"off without an address", Config{}, false, ""},
		{"on", Config{On: true}, true, ""},
		{"on with rates", Config{On: true, BlockRate: time.Millisecond, MutexFraction: 10}, true, ""},
		{"on without an address", Config{On: true}, false, "pprof "},
		{"block rate alone", Config{BlockRate: time.Millisecond}, true, "pprof-block-rate "},
		{"negative block rate", Config{On: true, BlockRate: -1}, true, "pprof-block-rate "},
		{"mutex fraction alone", Config{MutexFraction: 1}, true, "pprof-mutex-fraction "},
		{"negative mutex fraction", Config{On: true, MutexFraction: -1}, true, "pprof-mutex-fraction "},
	}
	for _, tt := range tests {
		problems := tt.config.Problems(tt.adminOn)
		if tt.names == "" && len(problems) != 0 || tt.names != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), tt.names)) {
			t.Errorf("%s: got %v, want one that begins with %q", tt.name, problems, tt.names)
		}
	}
}
