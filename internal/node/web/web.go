// Package web has the files of the pages that are shown to operators: the dashboard of a node, that of a front of a cluster, and what
// both share.
package web

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

// Files are all of them.
//
//go:embed *.html *.js *.css *.LICENSE
var Files embed.FS

// Policy lets a page do what these do, and nothing else.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Protect sets the headers that keep a browser from doing with a page what it is not meant for.
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Handle serves a page at /, and what pages load below /assets/. A browser keeps the files and asks each time whether they are still the
// same, so that a new version of the program brings a new page.
func Handle(mux *http.ServeMux, page string) {
	files, err := fs.ReadDir(Files, ".")
	if err != nil {
		panic("the embedded folder cannot be read: " + err.Error())
	}
	for _, f := range files {
		pattern := "GET /assets/" + f.Name()
		if f.Name() == page {
			pattern = "GET /{$}"
		} else if path.Ext(f.Name()) == ".html" {
			continue
		}
		content, err := Files.ReadFile(f.Name())
		if err != nil {
			panic("an embedded file cannot be read: " + err.Error())
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

// contentType does not leave to the machine's tables what the pages' files are.
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
