package node

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/proxy"
	"go.yaml.in/yaml/v3"
)

// metric is one of /metrics.
type metric struct {
	kind, help string
	labels     []string
}

// readMetrics adds what a /metrics has of ours and of the process to all.
func readMetrics(t *testing.T, all map[string]*metric, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)\n([a-z_]+)(\{[^}]*\})?`).FindAllStringSubmatch(text, -1) {
		one := &metric{kind: m[3], help: m[2]}
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[5], -1) {
			if l[1] != "le" && l[1] != "quantile" {
				one.labels = append(one.labels, l[1])
			}
		}
		slices.Sort(one.labels)
		all[m[1]] = one
	}
}

// everyMetric are the metrics of a node of a pair with TLS, of a gateway and of a proxy, as they are scraped.
func everyMetric(t *testing.T) map[string]*metric {
	t.Helper()
	certificate := httptest.NewTLSServer(nil)
	defer certificate.Close()
	pair := certificate.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, cb := pairConfigs(t)
	ca.CatchupTimeout, cb.CatchupTimeout = 10*time.Second, 10*time.Second
	ca.PeerTimeout, cb.PeerTimeout = 5*time.Second, 5*time.Second
	ca.SampleRequests = 1
	cb.Users, cb.MetricsOpen = filepath.Join(t.TempDir(), "users"), true
	if err := os.WriteFile(cb.Users, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ca.TLSCert, ca.TLSKey = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	ca.Listen = append(ca.Listen, "127.0.0.1:0,tls")
	for file, block := range map[string]*pem.Block{ca.TLSCert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, ca.TLSKey: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	load(t, a, "")
	all := map[string]*metric{}
	eventually(t, "the node knows its follower and has timed a request", func() bool {
		_, text := fetch(t, a, "/metrics")
		readMetrics(t, all, text)
		_, text = fetch(t, b, "/metrics")
		readMetrics(t, all, text)
		return all["futago_replication_follower_lag_entries"] != nil && all["futago_command_duration_seconds"] != nil && all["futago_replication_lag_entries"] != nil
	})

	g := gateway.DefaultConfig()
	up, err := gateway.ParseUpstream("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	g.Upstreams = []gateway.Upstream{up}
	front, err := gateway.New(g)
	if err != nil {
		t.Fatal(err)
	}
	p := proxy.DefaultConfig()
	behind, err := proxy.ParseUpstream("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	p.Upstreams = []proxy.Upstream{behind}
	local, err := proxy.New(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, pages := range []http.Handler{front.AdminHandler(), local.AdminHandler()} {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		text, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		readMetrics(t, all, string(text))
	}
	return all
}

// metricName finds names of metrics in a query of Prometheus.
var metricName = regexp.MustCompile(`\b(?:[a-z_]+:)?(?:futago|process|go)_[a-z0-9_]+(?::[a-z0-9_]+)?\b`)

// unknownMetric is the first name of a query that nothing has; recorded are names that rules make.
func unknownMetric(all map[string]*metric, recorded map[string]bool, query string) (name string, n int) {
	for _, name := range metricName.FindAllString(query, -1) {
		n++
		base := name
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if short := strings.TrimSuffix(name, end); all[short] != nil && all[short].kind == "histogram" {
				base = short
			}
		}
		if m := all[base]; !recorded[name] && (m == nil || base == name && m.kind == "histogram") {
			return name, n
		}
	}
	return "", n
}

// TestMetricsAreToldOf checks that documentation, rules and dashboard speak of what is there, and the documentation of all of it.
func TestMetricsAreToldOf(t *testing.T) {
	all := everyMetric(t)
	t.Run("documentation", func(t *testing.T) { checkDocumentation(t, all) })
	t.Run("rules", func(t *testing.T) { checkRules(t, all) })
	t.Run("dashboard", func(t *testing.T) { checkGrafana(t, all) })
}

func checkDocumentation(t *testing.T, all map[string]*metric) {
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`((?: [a-z_]+)*(?:, [a-z_]+)*) \\| (\\S+) \\| (.*) \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		name, labels, kind, unit, meaning := row[1], strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ' ' }), row[3], row[4], row[5]
		slices.Sort(labels)
		told[name] = true
		m := all[name]
		if m == nil {
			t.Errorf("%s: nothing has such a metric", name)
			continue
		}
		if kind != m.kind || !slices.Equal(labels, m.labels) {
			t.Errorf("%s: documented as a %s by %q, it is a %s by %q", name, kind, labels, m.kind, m.labels)
		}
		if strings.TrimSpace(unit) == "" || len(meaning) < 5 {
			t.Errorf("%s: unit %q, meaning %q", name, unit, meaning)
		}
		for _, u := range []string{"seconds", "bytes"} {
			if has := strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_"+u); has != (unit == u) {
				t.Errorf("%s: unit %q", name, unit)
			}
		}
	}
	for name, m := range all {
		if strings.HasPrefix(name, "futago_") && !told[name] {
			t.Errorf("not documented: | `%s` %s | %s | | %s |", name, strings.Join(m.labels, ", "), m.kind, m.help)
		}
	}
}

func checkRules(t *testing.T, all map[string]*metric) {
	text, err := os.ReadFile("../../deploy/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Record, Alert, Expr, For string
				Annotations              struct{ Summary string }
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	recorded, alerts := map[string]bool{}, 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if unknown, n := unknownMetric(all, recorded, r.Expr); unknown != "" || n == 0 {
				t.Errorf("rule %s%s: %d metrics, there is no %q", r.Alert, r.Record, n, unknown)
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("rule %s%s: for %q: %v", r.Alert, r.Record, r.For, err)
			}
			if r.Record != "" {
				recorded[r.Record] = true
				if !regexp.MustCompile(`^[a-z_]+:[a-z_]+:[a-z0-9_]+$`).MatchString(r.Record) || r.Alert != "" {
					t.Errorf("record %s, alert %s: want one of them, a record as level:metric:operations", r.Record, r.Alert)
				}
				continue
			}
			if alerts++; r.Alert == "" || r.Annotations.Summary == "" {
				t.Errorf("alert %+v has no name or summary", r)
			}
		}
	}
	if alerts == 0 || len(recorded) == 0 {
		t.Errorf("got %d alerts and %d records", alerts, len(recorded))
	}
}

func checkGrafana(t *testing.T, all map[string]*metric) {
	text, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID    string
		SchemaVersion int
		Panels        []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ H, W, X, Y int }
			FieldConfig              struct{ Defaults struct{ Unit string } }
			Targets                  []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids, charts := map[int]bool{}, 0
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W <= 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q: the number is taken, or its place or title is wrong", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		charts++
		if p.FieldConfig.Defaults.Unit == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q: unit %q, description %q, %d queries", p.Title, p.FieldConfig.Defaults.Unit, p.Description, len(p.Targets))
		}
		for _, q := range p.Targets {
			if unknown, n := unknownMetric(all, nil, q.Expr); unknown != "" || n == 0 || q.LegendFormat == "" || strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") {
				t.Errorf("panel %q: %s: %d metrics, there is no %q; its lines are called %q", p.Title, q.Expr, n, unknown, q.LegendFormat)
			}
		}
	}
	if board.Title == "" || board.UID == "" || board.SchemaVersion == 0 || charts == 0 {
		t.Errorf("got %+v", board)
	}
}
