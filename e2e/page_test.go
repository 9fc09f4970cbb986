//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is a tab of a real browser.
type browser struct {
	ctx context.Context
	mu  sync.Mutex
	// complaints are what the console got: errors of scripts, of the network and of the content policy.
	complaints []string
}

// openBrowser starts chromium with an empty tab.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("this test needs chromium: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // for all that the test does with it
	t.Cleanup(cancel)
	ctx, closeTab := chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(
		chromedp.ExecPath(program), chromedp.WSURLReadTimeout(2*time.Minute), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true)))
	t.Cleanup(closeTab)
	b := &browser{ctx: ctx}
	b.do(t, "start chromium", chromedp.Navigate("about:blank"))
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			if m.Type != chromedp.ConsoleLog && m.Type != chromedp.ConsoleInfo && m.Type != chromedp.ConsoleDebug {
				b.mu.Lock()
				b.complaints = append(b.complaints, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func (b *browser) do(t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// text is what the first element of a CSS selector says; empty when there is none.
func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ""`, selector)))
	if err != nil {
		t.Fatalf("read %s of the page: %v", selector, err)
	}
	return got
}

// waitText waits until an element says something with want in it.
func (b *browser) waitText(t *testing.T, selector, want string) {
	t.Helper()
	got := ""
	if !within(demoLimit, func() bool { got = b.text(t, selector); return strings.Contains(got, want) }) {
		t.Fatalf("%s of the page: got %q after %v, want %q", selector, got, demoLimit, want)
	}
}

// click presses what a user sees.
func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, "click "+selector, chromedp.Click(selector, chromedp.NodeEnabled, chromedp.NodeVisible))
}

// TestDemoPage looks at the demo as its users do.
func TestDemoPage(t *testing.T) {
	d, b := startDemo(t), openBrowser(t)
	b.do(t, "open the page", chromedp.EmulateViewport(1280, 900), chromedp.Navigate(fmt.Sprintf("http://127.0.0.1:%d/", d.base+80)))
	for i, pid := range d.pids {
		card := fmt.Sprintf("#node-%d ", i+1)
		b.waitText(t, card+".pill", "ready")
		b.waitText(t, card+"[data-f=ack]", "PEER")
		b.waitText(t, card+"[data-f=pid]", fmt.Sprint(pid))
		b.waitText(t, card+"[data-f=addr]", fmt.Sprintf("127.0.0.1:%d", d.base+11+i))
		b.waitText(t, card+"[data-f=lag]", "0 entries")
	}
	b.waitText(t, "#summary", "Both nodes are ready.")
	b.waitText(t, "#link-1-2 strong", "in step")
	b.waitText(t, "#link-2-1 strong", "in step")
	b.waitText(t, "#gateway .pill", "ready")
	b.waitText(t, "#events", "both nodes are ready after")

	// Markup in a value is shown, not obeyed.
	const value = `<img src=x onerror="document.title='obeyed'">`
	b.do(t, "write a key", chromedp.SetValue("#key-form [name=key]", "page_test"), chromedp.SetValue("#key-form [name=value]", value))
	b.click(t, "#key-form .primary")
	for _, via := range []string{"1", "2", "gateway"} {
		b.waitText(t, "#key-answers [data-via='"+via+"'] .value", value)
	}
	b.waitText(t, "#node-2 [data-f=items]", "1")

	if err := syscall.Kill(d.pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	strain, killed := startStrain(t), time.Now()
	b.waitText(t, "#node-1 .pill", "dead")
	if took := time.Since(killed); took > 10*time.Second+strain() { // the browser is a busy machine of its own
		t.Errorf("the page showed the dead node after %v, want about 1s", took)
	}
	b.waitText(t, "#node-1 .reason", "was killed (signal 9)")
	b.waitText(t, "#node-2 [data-f=ack]", "SOLO")
	b.waitText(t, "#link-1-2 strong", "down")
	b.waitText(t, "#link-2-1 strong", "down")
	b.waitText(t, "#summary", "Node 1 is dead. Node 2 goes on.")
	b.waitText(t, "#events", "node 1 was killed (signal 9)")
	b.waitText(t, "#gateway .upstreams", "dead")

	b.click(t, "#node-1 [data-do=restart]")
	b.waitText(t, "#node-1 .pill", "ready")
	b.waitText(t, "#node-1 .note", "started again as pid")
	b.waitText(t, "#node-2 [data-f=ack]", "PEER")
	b.waitText(t, "#node-1 [data-f=items]", "1")
	b.click(t, "#node-2 [data-do=kill]")
	b.waitText(t, "#node-2 .pill", "dead")
	b.click(t, "#node-2 [data-do=restart]")
	b.waitText(t, "#node-2 .pill", "ready")

	b.checkLayout(t)
	if title := b.text(t, "title"); title != "futago demo" {
		t.Errorf("title: got %q; a value was obeyed", title)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("console: got %d complaints, want none:\n%s", len(b.complaints), strings.Join(b.complaints, "\n"))
	}
}

// checkLayout demands that the page fits into windows of all widths, and that it has a light and a dark look.
func (b *browser) checkLayout(t *testing.T) {
	t.Helper()
	for _, width := range []int64{320, 390, 720, 900, 1280} {
		b.do(t, "resize", chromedp.EmulateViewport(width, 800))
		var got int64
		var err error
		if !within(demoLimit, func() bool { // charts follow the window a frame later
			got, err = chromedp.Run(b.ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			return err != nil || got <= width
		}) || err != nil {
			t.Errorf("a window of %d pixels: the page is %d wide, %v", width, got, err)
		}
	}
	looks := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		look, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
		if err != nil {
			t.Fatal(err)
		}
		looks[look] = true
	}
	if len(looks) != 2 {
		t.Errorf("backgrounds in light and dark: got %v, want two", looks)
	}
}
