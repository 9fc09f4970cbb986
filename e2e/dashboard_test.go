//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// truth waits until an expression of JavaScript is true on the page.
func (b *browser) truth(t *testing.T, what, expression string) {
	t.Helper()
	if !within(demoLimit, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return is
	}) {
		t.Fatalf("waited %v for: %s", demoLimit, what)
	}
}

// tell sends memcached commands to a node, and returns when it has answered the last one.
func (n *node) tell(t *testing.T, commands ...string) {
	t.Helper()
	c, err := net.Dial("tcp", n.client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range commands {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 64)
		if k, err := c.Read(reply); err != nil || strings.HasPrefix(string(reply[:k]), "ERROR") {
			t.Fatalf("%q: got %q, %v", text, reply[:k], err)
		}
	}
}

// scaleOfNewChart draws all charts anew, as another theme does, and is the end of the scale of operations in the first picture. The
// theme is the same afterwards.
const scaleOfNewChart = `(async () => {
	const real = uPlot, made = [];
	uPlot = function (...a) { const u = new real(...a); made.push(u); return u; };
	for (let i = 0; i < 3; i++) document.getElementById("theme").click();
	uPlot = real;
	await new Promise((done) => setTimeout(done)); // it draws before that
	return made.findLast((u) => u.series[1].label === "get").scales.y.max;
})()`

// TestDashboard looks at the dashboard of a node of a pair as operators do.
func TestDashboard(t *testing.T) {
	p := startPair(t)
	const value = `{"name":"<img src=x onerror=\"document.title='obeyed'\">"}`
	p[0].tell(t, fmt.Sprintf("set dash:1 5 0 %d\r\n%s\r\n", len(value), value), "set n 0 0 1\r\n4\r\n", "incr n 3\r\n")
	b := openBrowser(t)
	b.do(t, "open the dashboard", chromedp.EmulateViewport(1280, 900), chromedp.Navigate("http://"+p[0].admin+"/"))
	b.waitText(t, "#live", "live")
	b.waitText(t, "#this-node .pill", "ready")
	b.waitText(t, "#this-node [data-f=title]", "Node 1")
	b.waitText(t, "#this-node [data-f=items]", "2")
	b.waitText(t, "#this-node [data-f=ack]", "peer, fsync interval")
	const other = "#pair .node:not(#this-node) "
	b.waitText(t, other+"[data-f=title]", "Node 2")
	b.waitText(t, other+".pill", "ready")
	b.waitText(t, other+"[data-f=items]", "2") // by its own word
	b.waitText(t, ".flow:first-child strong", "in step")
	b.waitText(t, ".flow:last-child strong", "in step")
	b.waitText(t, "#chart-ops .keys", "set")
	var scale float64
	if !within(demoLimit, func() bool {
		var err error
		scale, err = chromedp.Run(b.ctx, chromedp.Evaluate[float64](scaleOfNewChart, chromedp.EvalAwaitPromise))
		return err == nil && scale > 1
	}) {
		t.Errorf("a chart that is drawn anew: its scale ends at %v/s, where more than 1 was measured", scale)
	}
	b.truth(t, "the charts are drawn", `document.querySelectorAll("#charts .chart:not([hidden]) canvas").length >= 7`)
	b.waitText(t, "#events", "node is ready")
	b.waitText(t, "#settings", "peer-listen")
	b.waitText(t, "[data-f=equal]", "equal")

	b.do(t, "look up a value", chromedp.SetValue("#key-input", "dash:1"))
	b.click(t, "#key-form .primary")
	b.waitText(t, "#key-verdict", "Found. The same on all nodes.")
	b.waitText(t, "#key-value", value)
	b.click(t, "[data-form=json]")
	b.waitText(t, "#key-value", "{\n  \"name\"")
	b.click(t, "[data-form=hex]")
	b.waitText(t, "#key-value", "000000  7b 22 6e")
	b.do(t, "look up a counter", chromedp.SetValue("#key-input", "n"))
	b.click(t, "#key-form .primary")
	b.waitText(t, "#key-sums", "+3")

	for range 40 {
		p[0].tell(t, "set big 0 0 5000\r\n"+strings.Repeat("x", 5000)+"\r\n", strings.Repeat("get hot\r\n", 100))
	}
	b.waitText(t, "#hot", "hot")
	b.waitText(t, "#hot-note", "one request of 64")
	b.waitText(t, "#big", "4.9 KiB")
	b.waitText(t, "#slow-note", "From 10 ms on")
	b.waitText(t, "#times", "round of a network loop")
	b.waitText(t, "#chart-latency .keys", "p99")
	b.truth(t, "the latencies are drawn", `document.querySelector("#chart-latency:not([hidden]) canvas") !== null`)

	b.click(t, "[data-act=sync]")
	b.waitText(t, "#confirm-title", "Sync the log of node 1?")
	b.click(t, "#confirm-do")
	b.waitText(t, "#action-result", "durable up to position")
	b.waitText(t, "#events", "an operator's action audit=true action=sync")
	b.waitText(t, "#backup-note", "No backup")
	b.click(t, "[data-act=backup]")
	b.waitText(t, "#confirm-title", "Back up all that node 1 holds?")
	b.click(t, "#confirm-do")
	b.waitText(t, "#action-result", "Node 1: sent ")
	b.waitText(t, "#backup-note", "Last backup: full")
	b.click(t, "[data-act=drain]")
	b.waitText(t, "#confirm-do", "Drain node 1")
	b.click(t, "#confirm-do")
	b.waitText(t, "#this-node .pill", "drained")
	b.waitText(t, "#warning-list", "drained")
	b.click(t, "[data-act=undrain]")
	b.click(t, "#confirm-do")
	b.waitText(t, "#this-node .pill", "ready")

	if err := p[1].proc.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	strain, killed := startStrain(t), time.Now()
	b.waitText(t, other+".pill", "gone")
	if took := time.Since(killed); took > 10*time.Second+strain() { // the browser is a busy machine of its own
		t.Errorf("the page showed the dead node after %v, want seconds", took)
	}
	b.waitText(t, ".flow:first-child strong", "down")
	b.waitText(t, "#warning-list", "SOLO")
	b.waitText(t, "#spoken", "Node 2 is gone.")
	b.checkLayout(t)
	b.checkThemes(t)
	if title := b.text(t, "title"); title != "Node 1 · futago" {
		t.Errorf("title: got %q; a value was obeyed, or the node is not ready", title)
	}
	b.mu.Lock()
	complaints := b.complaints
	b.mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("console: got %d complaints, want none:\n%s", len(complaints), strings.Join(complaints, "\n"))
	}

	if err := p[0].proc.cmd.Process.Signal(syscall.SIGKILL); err != nil { // from here on the console has connections that were refused
		t.Fatal(err)
	}
	b.waitText(t, "#live", "connection lost")
	b.waitText(t, "#lost", "Connection lost since")
	p[0].start(t)
	p[0].waitReady(t)
	b.waitText(t, "#live", "live")
}

// checkThemes presses the switch and demands that the page follows, whatever the system likes.
func (b *browser) checkThemes(t *testing.T) {
	t.Helper()
	looks := map[string]string{}
	for _, want := range []string{"light", "dark", "system"} {
		b.click(t, "#theme")
		b.waitText(t, "#theme-now", want)
		look, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
		if err != nil {
			t.Fatal(err)
		}
		looks[want] = look
	}
	if looks["light"] == looks["dark"] {
		t.Errorf("light and dark are both %s", looks["light"])
	}
}

// TestDashboardLogin opens the dashboard of a node with users: without a login it shows nothing, with one it works.
func TestDashboardLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	addUser(t, file, "root", "sesame", "--rights=read,write,admin")
	n := newNode(t, "A", 1, "--users="+file)
	n.login = "root sesame"
	n.start(t)
	n.waitReady(t)
	if status, body, err := httpGet(t.Context(), "http://"+n.admin+"/"); err != nil || status != 401 || strings.Contains(body, "<title>") {
		t.Errorf("without a login: status %d, %v, %.100q", status, err, body)
	}
	b := openBrowser(t)
	// The browser keeps what its user has typed once.
	b.do(t, "log in", chromedp.EmulateViewport(1280, 900), chromedp.Navigate("http://root:sesame@"+n.admin+"/status"), chromedp.Navigate("http://"+n.admin+"/"))
	b.waitText(t, "#this-node .pill", "ready")
	b.waitText(t, "#live", "live")
	b.click(t, "[data-act=sync]")
	b.click(t, "#confirm-do")
	b.waitText(t, "#action-result", "durable up to position")
	b.waitText(t, "#events", "user=root")
}
