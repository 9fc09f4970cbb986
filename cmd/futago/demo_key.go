package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxDemoKey is the longest key of the page in bytes, as of memcached.
	maxDemoKey = 250
	// maxDemoValue is the largest value that the page sends and shows, in bytes.
	maxDemoValue = 64 << 10
	// demoKeyTimeout bounds a request of the page to a node or the gateway.
	demoKeyTimeout = 4 * time.Second
)

// demoKeyAnswer is what a node or the gateway said about a key.
type demoKeyAnswer struct {
	Via string `json:"via"` // 1, 2 or gateway
	// Status is the code of its reply; 0 when there was none, and Error says why.
	Status int     `json:"status"`
	Error  string  `json:"error,omitempty"`
	Value  string  `json:"value"` // of a reply with status 200 to a read; bytes that are no UTF-8 are shown as U+FFFD
	Cut    bool    `json:"cut"`   // the value goes on
	Took   float64 `json:"took_seconds"`
}

// serveKey reads the key of the query, or with POST writes it, through the place that via names: a node or the gateway.
// A page cannot do that by itself, because nodes answer pages of no other origin.
func (d *demo) serveKey(w http.ResponseWriter, r *http.Request) {
	via, key := r.URL.Query().Get("via"), r.URL.Query().Get("key")
	addr, ok := d.place(via)
	switch {
	case !ok:
		http.Error(w, fmt.Sprintf("via %.20q: want 1, 2 or gateway", via), http.StatusBadRequest)
		return
	case key == "" || len(key) > maxDemoKey:
		http.Error(w, fmt.Sprintf("a key of %d bytes: want 1 to %d", len(key), maxDemoKey), http.StatusBadRequest)
		return
	}
	method, value := http.MethodGet, []byte(nil)
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDemoValue))
		if err != nil {
			http.Error(w, fmt.Sprintf("read value: %v; the page takes at most %d bytes", err, maxDemoValue), http.StatusBadRequest)
			return
		}
		method, value = http.MethodPut, body
	}
	replyJSON(w, askKey(r.Context(), method, addr, via, key, value))
}

// place is the client address behind a name.
func (d *demo) place(via string) (addr string, ok bool) {
	if via == "gateway" {
		return d.gateway.Addr(), true
	}
	id, err := parseDemoNode(via)
	if err != nil {
		return "", false
	}
	return d.nodes[id-1].addr, true
}

// keyClient has no proxy and keeps no connection: a node that is killed leaves none behind.
var keyClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// askKey sends one request for a key.
func askKey(ctx context.Context, method, addr, via, key string, value []byte) demoKeyAnswer {
	answer := demoKeyAnswer{Via: via}
	ctx, cancel := context.WithTimeout(ctx, demoKeyTimeout)
	defer cancel()
	begin := time.Now()
	err := func() error {
		target := "http://" + addr + "/" + url.PathEscape(key)
		request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(string(value)))
		if err != nil {
			return err
		}
		if method == http.MethodPut {
			request.Header.Set("Content-Type", "text/plain; charset=utf-8")
		} else {
			request.Body, request.ContentLength = nil, 0
		}
		response, err := keyClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxDemoValue+1))
		if err != nil {
			return err
		}
		answer.Status = response.StatusCode
		switch {
		case response.StatusCode >= 400 && response.StatusCode != http.StatusNotFound:
			answer.Error = strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), 200)])), "\uFFFD")
		case method == http.MethodGet && response.StatusCode == http.StatusOK:
			answer.Cut = len(body) > maxDemoValue
			answer.Value = strings.ToValidUTF8(string(body[:min(len(body), maxDemoValue)]), "\uFFFD")
		}
		return nil
	}()
	answer.Took = time.Since(begin).Seconds()
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the page says where it asked
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}
