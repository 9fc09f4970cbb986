package server

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestHTTPKey(t *testing.T) {
	tests := []struct {
		uri, want string
		err       error
	}{
		{"/a", "a", nil},
		{"/a?b=c", "a", nil},
		{"/a%3Fb", "a?b", nil},
		{"/a+b", "a+b", nil},
		{"/a%20b%00%2f%2F/c", "a b\x00///c", nil},
		{"//a", "/a", nil},
		{"/a/../b/./", "a/../b/./", nil},
		{"/%E3%81%82", "あ", nil},
		{"http://host/k?x", "k", nil},
		{"http://host//k", "/k", nil},
		{"/http://host/k", "http://host/k", nil},
		{"/a?http://host/b", "a", nil},
		{"/", "", errNoKey},
		{"/?a", "", errNoKey},
		{"http://host", "", errNoKey},
		{"http://host?/a", "", errNoKey},
		{"*", "", errNoPath},
		{"", "", errNoPath},
		{"host:80", "", errNoPath},
		{"/%", "", errBadEscape},
		{"/%4", "", errBadEscape},
		{"/%4g", "", errBadEscape},
		{"/%g4", "", errBadEscape},
		{"/" + strings.Repeat("k", 65535), strings.Repeat("k", 65535), nil},
		{"/" + strings.Repeat("%6b", 65535), strings.Repeat("k", 65535), nil},
		{"/" + strings.Repeat("k", 65536), "", errLongKey},
	}
	for _, tt := range tests {
		got, err := httpKey(tt.uri)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("httpKey(%.60q): got %.60q and %v, want %.60q and %v", tt.uri, got, err, tt.want, tt.err)
		}
	}
}

func FuzzHTTPKey(f *testing.F) {
	f.Add("/a%20b?c")
	f.Add("http://host/%ff")
	f.Add("/%")
	f.Fuzz(func(t *testing.T, uri string) {
		key, err := httpKey(uri)
		if err != nil {
			if key != nil {
				t.Errorf("httpKey(%q): got %q beside %v", uri, key, err)
			}
			return
		}
		again, err := httpKey("/" + url.PathEscape(string(key)))
		if err != nil || !bytes.Equal(again, key) {
			t.Errorf("httpKey of %q escaped: got %q and %v, want the same", key, again, err)
		}
	})
}
