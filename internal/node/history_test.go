package node

import (
	"encoding/json"
	"testing"
)

// The node fills it, and says what it cannot show.
func TestHistoryOfNode(t *testing.T) {
	r := start(t, testConfig(t, 1))
	r.waitReady(t)
	var doc struct {
		Time  []int64   `json:"time_ms"`
		Items []float64 `json:"items"`
		Own   []float64 `json:"memory_anonymous_bytes"`
	}
	r.set(t, "k", "v")
	eventually(t, "the history has a sample with the record", func() bool {
		_, body := fetch(t, r, "/history")
		return json.Unmarshal([]byte(body), &doc) == nil && len(doc.Items) > 0 && doc.Items[len(doc.Items)-1] == 1
	})
	if len(doc.Time) != len(doc.Items) || len(doc.Own) != len(doc.Items) || doc.Own[0] <= 0 {
		t.Errorf("columns: got %+v", doc)
	}
	if code, _ := fetch(t, r, "/history?step=60"); code != 200 {
		t.Errorf("minutes: status %d", code)
	}
	for _, query := range []string{"step=2", "after=x"} {
		if code, body := fetch(t, r, "/history?"+query); code != 400 {
			t.Errorf("%s: got status %d and %q, want 400", query, code, body)
		}
	}
}
