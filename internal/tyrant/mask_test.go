package tyrant

import "testing"

func TestMasks(t *testing.T) {
	for text, want := range map[string]struct {
		refused, allowed []Command
	}{
		"":                 {nil, []Command{Put, Get, Ext, Stat}},
		"put, OUT":         {[]Command{Put, Out}, []Command{PutKeep, Get, Vanish}},
		"allread":          {[]Command{Get, MGet, VSiz, IterInit, IterNext, FwmKeys, RNum, Size, Stat}, []Command{Put, Sync, Misc, Repl}},
		"allwrite":         {[]Command{Put, PutKeep, PutCat, PutShl, PutNR, Out, AddInt, AddDouble, Vanish, Misc, Ext}, []Command{Get, Sync, Repl}},
		"allmanage":        {[]Command{Sync, Optimize, Copy, Restore, SetMst}, []Command{Put, Get, Repl}},
		"0x1 0x40":         {[]Command{Put, Get}, []Command{PutKeep, MGet}},
		"all":              {[]Command{Put, Get, Repl, Ext}, nil},
		"allorg":           {[]Command{Put, Get, Repl, Ext}, nil},
		"allmc allhttp":    {nil, []Command{Put, Get, Repl, Ext}},
		"repl,slave\tstat": {[]Command{Repl, Stat}, []Command{SetMst}},
	} {
		m, err := ParseMask(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for _, c := range want.refused {
			if !m.Forbids(c, ViaTyrant) {
				t.Errorf("%q allows %v", text, c)
			}
		}
		for _, c := range want.allowed {
			if m.Forbids(c, ViaTyrant) {
				t.Errorf("%q forbids %v", text, c)
			}
		}
	}
	m, err := ParseMask("nosuch,get,0xzz")
	if err == nil || m != maskOf("get") {
		t.Errorf("an unknown name: %v, %v", m, err)
	}
	if m, _ := ParseMask("allmc"); !m.Forbids(Get, ViaMemcache) || m.Forbids(Get, ViaHTTP) {
		t.Error("allmc is for memcached alone")
	}
	if m, _ := ParseMask("get,slave"); m.String() != "get,slave" {
		t.Errorf("text is %q", m)
	}
}
