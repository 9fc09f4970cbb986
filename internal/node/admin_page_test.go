package node

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/futago/futago/internal/node/web"
)

// The page has no code and no style of its own, which its policy forbids; what it names is there.
func TestPageFiles(t *testing.T) {
	r := start(t, testConfig(t, 1))
	r.waitReady(t)
	resp, page := send(t, r, "GET", "/", nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page, "<title>futago</title>") {
		t.Fatalf("page: got status %d, type %q and %.100q", resp.StatusCode, resp.Header.Get("Content-Type"), page)
	}
	other, err := web.Files.ReadFile("cluster.html")
	if err != nil {
		t.Fatal(err)
	}
	for what, pattern := range map[string]string{
		"script within":  `<script(?:[^>]*)>[^<]`,
		"style within":   `<style|\sstyle\s*=`,
		"event handler":  `\son[a-z]+\s*=`,
		"script address": `javascript:`,
		"foreign source": `(?:src|href)="(?:https?:)?//`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page + string(other)); found != "" {
			t.Errorf("%s in the page: %q", what, found)
		}
	}
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".LICENSE": "text/plain; charset=utf-8"}
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		resp, text := send(t, r, "GET", path, nil)
		tag := resp.Header.Get("ETag")
		if want := types[path[strings.LastIndex(path, "."):]]; resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want || tag == "" || resp.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got status %d, type %q, tag %q, caching %q; want type %q", path, resp.StatusCode, resp.Header.Get("Content-Type"), tag, resp.Header.Get("Cache-Control"), want)
		}
		again, body := send(t, r, "GET", path, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
		if again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s that the browser has: got status %d and %d bytes, want 304", path, again.StatusCode, len(body))
		}
		for _, m := range regexp.MustCompile(`from "\./([a-z]+\.js)"`).FindAllStringSubmatch(text, -1) {
			visit("/assets/" + m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		visit(m[1])
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(string(other), -1) {
		visit(m[1])
	}
	files, err := web.Files.ReadDir(".")
	if err != nil || len(seen) != len(files)-2 {
		t.Errorf("the pages load %d files, the folder has %d besides them: %v", len(seen), len(files)-2, err)
	}
	for _, path := range []string{"/assets/", "/assets/none.js", "/assets/index.html", "/assets/cluster.html", "/assets/web.go", "/assets/..%2fnode.go", "/elsewhere"} {
		if resp, _ := send(t, r, "GET", path, nil); resp.StatusCode != 404 {
			t.Errorf("%s: got status %d, want 404", path, resp.StatusCode)
		}
	}
}
