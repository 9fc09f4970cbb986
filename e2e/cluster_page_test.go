//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/futago/futago/internal/rediscluster/clustertest"
)

// TestClusterPage looks at the page of a front as operators do, while the cluster is whole, while a slot has no master, and when the front
// is gone.
func TestClusterPage(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second, Args: []string{"--cluster-require-full-coverage", "no"}})
	f := startClusterFront(t, c, ",lease=50ms,timeout=1s")
	b := openBrowser(t)
	b.do(t, "open the page", chromedp.EmulateViewport(1280, 900), chromedp.Navigate("http://"+f.admin+"/"))
	b.waitText(t, "#live", "live")
	b.waitText(t, "#front .pill", "ready")
	b.waitText(t, "#durability", "async")
	b.waitText(t, "#promise", "What a master that dies had not sent to a replica is lost")
	b.waitText(t, "#front [data-f=slots]", "16,384 of 16,384")
	b.waitText(t, "#front [data-f=masters]", "3")
	b.waitText(t, "#front [data-f=listen]", f.client)
	for _, n := range c.Masters() {
		b.waitText(t, "#masters", n.Addr)
	}
	f.tell(t, strings.Repeat("set k 0 0 1\r\nx\r\nget k\r\n", 1000))
	b.waitText(t, "#chart-ops .keys", "set")
	b.waitText(t, "#front [data-f=latency]", "s, ")
	b.truth(t, "requests are shown", `/[1-9]/.test(document.querySelector("#front [data-f=requests]").textContent)`)
	b.truth(t, "the charts are drawn", `document.querySelectorAll("#charts .chart:not([hidden]) canvas").length >= 5`)

	slot := c.SlotOf("futago:k:k")
	owner := c.MasterOf(slot)
	c.DropSlots(slot, slot)
	b.waitText(t, "#front [data-f=slots]", "16,383 of 16,384")
	b.waitText(t, "#front .reason", "1 of 16384 slots have no master")
	b.truth(t, "the state is no good one", `document.querySelector("#front .pill").classList.contains("busy")`)
	if got := f.tell(t, "get k\r\n"); !strings.Contains(got, "cluster does not answer") {
		t.Errorf("get of a key without a master: %q", got)
	}
	b.truth(t, "the failure is counted", `Number(document.querySelector("[data-f=unreached]").textContent) > 0`)
	c.AssignSlots(owner, slot, slot)
	b.waitText(t, "#front [data-f=slots]", "16,384 of 16,384")
	b.checkLayout(t)

	f.process.kill()
	b.waitText(t, "#live", "connection lost")
	b.waitText(t, "#lost-for", "This front has not answered for")

	waits := startClusterFront(t, c, ",wait=2")
	b.do(t, "open the page of another front", chromedp.Navigate(fmt.Sprintf("http://%s/", waits.admin)))
	b.waitText(t, "#durability", "wait=2")
	b.waitText(t, "#promise", "It can still be lost")
}
