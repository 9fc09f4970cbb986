package memcache

import "testing"

func TestSplitPlain(t *testing.T) {
	for data, want := range map[string][2]string{
		"\x00foo\x00bar": {"foo", "bar"}, "foo\x00foo\x00bar": {"foo", "bar"}, "\x00foo\x00": {"foo", ""}, "\x00foo\x00b\x00r": {"foo", "b\x00r"},
	} {
		if name, password, ok := SplitPlain([]byte(data)); !ok || string(name) != want[0] || string(password) != want[1] {
			t.Errorf("%q: got %q, %q, %v", data, name, password, ok)
		}
	}
	for _, data := range []string{"", "foo", "foo\x00bar", "\x00foo", "other\x00foo\x00bar"} {
		if name, _, ok := SplitPlain([]byte(data)); ok {
			t.Errorf("%q: got %q, want a refusal", data, name)
		}
	}
}
