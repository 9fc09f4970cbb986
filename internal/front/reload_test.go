package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/profile"
	"github.com/futago/futago/internal/reload"
)

// An operator's reload tells what came of it, now and in the status; a page of another site has none.
func TestReloads(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	a, err := new(AccessConfig).Open(logger)
	if err != nil {
		t.Fatal(err)
	}
	report, problem := reload.Report{Changed: []reload.Change{{Name: "timeout", Old: []string{"1s"}, New: []string{"2s"}, Source: "f"}}, Restart: []reload.Change{}, Read: []string{"users"}}, error(nil)
	runs := 0
	r := NewReloads("proxy", logger, a, func() (reload.Report, error) {
		runs++
		return report, problem
	})
	pages := a.Guard(AdminHandler("127.0.0.1:1", func() (string, string) { return "ready", "" }, func() any { return r.Last() }, r, prometheus.NewRegistry(), profile.Config{}))
	ask := func(method, path string, header ...string) (int, string) {
		request := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
	if _, body := ask("GET", "/status"); body != "null\n" {
		t.Errorf("before the first: got %q", body)
	}
	for _, header := range [][]string{nil, {access.ActionHeader, "1", "Origin", "http://evil.example"}, {access.ActionHeader, "1", "Sec-Fetch-Site", "cross-site"}} {
		if code, body := ask("POST", "/reload", header...); code != http.StatusForbidden {
			t.Errorf("with %q: got %d, %s", header, code, body)
		}
	}
	if code, _ := ask("GET", "/reload"); code != http.StatusMethodNotAllowed || runs != 0 {
		t.Errorf("GET: got %d, and %d reloads", code, runs)
	}
	code, body := ask("POST", "/reload", access.ActionHeader, "1")
	var got ReloadReport
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || got.Front != "proxy" || got.Changed[0].New[0] != "2s" || got.Read[0] != "users" {
		t.Errorf("got %d, %s, %v", code, body, err)
	}
	problem = errors.Join(errors.New("one"), errors.New("two"))
	if code, body := ask("POST", "/reload", access.ActionHeader, "1"); code != http.StatusConflict || body != "one; two\n" {
		t.Errorf("refused: got %d, %q", code, body)
	}
	if _, body := ask("GET", "/status"); !strings.Contains(body, `"error": "one; two"`) || !strings.Contains(body, `"changed": []`) || !strings.Contains(body, `"at": "20`) {
		t.Errorf("status: %s", body)
	}
	for _, part := range []string{"setting=timeout old=1s new=2s", "reload refused, everything stays what it was", `audit=true action=reload user=-`, `an operator's action failed`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %q in the log:\n%s", part, &log)
		}
	}
}
