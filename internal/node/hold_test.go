package node

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/futago/futago/internal/reload"
)

// A node that is drained by hand is not ready and has no clients, follows all the same, and serves again afterwards.
func TestDrainByHand(t *testing.T) {
	a, b := startPair(t)
	client, err := net.Dial("tcp", a.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if askVersion(t, a) == "" {
		t.Fatal("no answer")
	}
	eventually(t, "the peer is known to be ready", func() bool { return a.peerServes() })
	if resp, body := send(t, a, "POST", "/drain", asOperator); resp.StatusCode != 200 {
		t.Fatalf("drain: status %d, %s", resp.StatusCode, body)
	}
	if code, body := fetch(t, a, "/readyz"); code != 503 || !strings.HasPrefix(body, "drained: ") {
		t.Errorf("readyz: got %d and %q, want 503 and drained", code, body)
	}
	s := a.Status()
	if s.State != Drained || s.Ready || len(s.Warnings) == 0 || !strings.Contains(s.Warnings[0].Text, "drained") {
		t.Errorf("status: got state %s, ready %v, warnings %v", s.State, s.Ready, s.Warnings)
	}
	eventually(t, "the peer knows", func() bool { return !b.peerServes() })
	if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read of an idle client: got %d bytes and %v, want the end", n, err)
	}
	eventually(t, "nobody is connected", func() bool { return a.server.Stats().CurrConnections == 0 })
	b.set(t, "meanwhile", "v")
	eventually(t, "the drained node follows", func() bool { return a.has("meanwhile", "v") })
	if resp, body := send(t, b, "POST", "/drain", asOperator); resp.StatusCode != 409 {
		t.Errorf("drain of the last node: got status %d and %s, want 409", resp.StatusCode, body)
	}

	if resp, body := send(t, a, "POST", "/undrain", asOperator); resp.StatusCode != 200 {
		t.Fatalf("undrain: status %d, %s", resp.StatusCode, body)
	}
	if code, body := fetch(t, a, "/readyz"); code != 200 {
		t.Errorf("readyz afterwards: got %d and %q", code, body)
	}
	if got := askVersion(t, a); !strings.HasPrefix(got, "VERSION") {
		t.Errorf("version afterwards: got %q", got)
	}
}

// A drain that is taken back at once sends nobody away, and a node that is drained can be stopped.
func TestDrainIsTakenBack(t *testing.T) {
	r := start(t, testConfig(t, 1))
	r.waitReady(t)
	for _, path := range []string{"/drain?force=1", "/undrain", "/drain?force=1"} {
		if resp, body := send(t, r, "POST", path, asOperator); resp.StatusCode != 200 {
			t.Fatalf("%s: status %d, %s", path, resp.StatusCode, body)
		}
	}
	if !strings.HasPrefix(askVersion(t, r), "VERSION") { // the time of notice
		t.Error("clients are sent away before gateways could notice")
	}
	r.end(t)
}

// Comparing now does not wait for the interval.
func TestVerifyNow(t *testing.T) {
	a, b := startPair(t)
	a.set(t, "k", "v")
	eventually(t, "the record is on both", func() bool { return b.has("k", "v") })
	compared := func() bool { s := a.pullers()[0].Status(); return s.FoundEqual() }
	eventually(t, "a first comparison", compared)
	first := a.pullers()[0].Status().Verified
	if resp, body := send(t, a, "POST", "/verify", asOperator); resp.StatusCode != 200 {
		t.Fatalf("verify: status %d, %s", resp.StatusCode, body)
	}
	eventually(t, "a second comparison", func() bool { return a.pullers()[0].Status().Verified.After(first) })
}

// Settings have no secrets, clients are counted by machine.
func TestDocuments(t *testing.T) {
	c := testConfig(t, 1)
	c.Settings = []reload.Setting{{Name: "data", Values: []string{"x"}, Source: "default"}}
	r := start(t, c)
	r.waitReady(t)
	for range 3 {
		client, err := net.Dial("tcp", r.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	var clients struct {
		Count   int
		Clients []struct {
			Host        string
			Connections int
		}
	}
	eventually(t, "three connections of one machine", func() bool {
		_, body := fetch(t, r, "/clients")
		return json.Unmarshal([]byte(body), &clients) == nil && clients.Count == 1 && clients.Clients[0].Host == "127.0.0.1" && clients.Clients[0].Connections == 3
	})
	if _, body := fetch(t, r, "/settings"); !strings.Contains(body, `{"name":"data","values":["x"],"source":"default"}`) {
		t.Errorf("settings: got %s", body)
	}
	if _, body := fetch(t, r, "/segments"); !strings.Contains(body, `"sealed":[]`) {
		t.Errorf("segments: got %s", body)
	}
}
