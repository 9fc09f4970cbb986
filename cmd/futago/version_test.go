package main

import "testing"

func TestVersionNumber(t *testing.T) {
	for _, c := range []struct{ linked, module, want string }{
		{"", "", "0.1.0"},
		{"", "(devel)", "0.1.0"},
		{"", "v0.0.0-20260102030405-0123456789ab+dirty", "0.1.0"},
		{"", "v1.2.3", "1.2.3"},
		{"v1.4.0", "v1.2.3", "1.4.0"},
		{"1.4.0", "", "1.4.0"},
		{"v1.4.0-3-g0123456", "", "1.4.0"},
		{"0123456", "v1.2.3", "1.2.3"},
		{"0123456-dirty", "(devel)", "0.1.0"},
	} {
		if got := versionNumber(c.linked, c.module); got != c.want {
			t.Errorf("versionNumber(%q, %q) = %q, want %q", c.linked, c.module, got, c.want)
		}
	}
}
