package node

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed web
var pageFiles embed.FS

// addPage serves the dashboard: its page at /, what the page loads below /assets/. A browser keeps the files and asks each time whether
// they are still the same, so that a new version of the node brings a new page.
func addPage(mux *http.ServeMux) {
	files, err := fs.ReadDir(pageFiles, "web")
	if err != nil {
		panic("the embedded folder has no such name: " + err.Error())
	}
	for _, f := range files {
		content, err := pageFiles.ReadFile(path.Join("web", f.Name()))
		if err != nil {
			panic("an embedded file cannot be read: " + err.Error())
		}
		pattern := "GET /assets/" + f.Name()
		if f.Name() == "index.html" {
			pattern = "GET /{$}"
		}
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
		kind := contentType(f.Name())
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", kind)
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", tag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
	}
}

// contentType does not leave to the machine's tables what the page's files are.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".LICENSE":
		return "text/plain; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}
