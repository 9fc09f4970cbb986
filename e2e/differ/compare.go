//go:build linux

package main

import "strconv"

// pairing says which uniques of both servers are the same one.
type pairing struct {
	futago, memcached map[string]string
}

func newPairing() *pairing {
	return &pairing{map[string]string{"0": "0"}, map[string]string{"0": "0"}}
}

// same reports whether two uniques may be the same, and remembers that they are.
func (p *pairing) same(m, f string) bool {
	f0, seenM := p.futago[m]
	m0, seenF := p.memcached[f]
	if seenM || seenF {
		return seenM && seenF && f0 == f && m0 == m
	}
	p.futago[m], p.memcached[f] = f, m
	return true
}

// equal reports whether two replies say the same.
func (p *pairing) equal(m, f []line) bool {
	if len(m) != len(f) {
		return false
	}
	for i := range m {
		if !p.equalLine(&m[i], &f[i]) {
			return false
		}
	}
	return true
}

func (p *pairing) equalLine(m, f *line) bool {
	if len(m.fields) != len(f.fields) || m.data != f.data || m.hasData != f.hasData || m.broken != f.broken {
		return false
	}
	for i := range m.fields {
		a, b := m.fields[i], f.fields[i]
		k, at := m.kind(i)
		if fk, fat := f.kind(i); fk != k || fat != at || a[:at] != b[:at] {
			return false
		}
		a, b = a[at:], b[at:]
		switch k {
		case unique:
			if !p.same(a, b) {
				return false
			}
		case ttl:
			if !near(a, b) {
				return false
			}
		default:
			if a != b {
				return false
			}
		}
	}
	return true
}

// near reports whether two times to live are as near as clocks that begin their seconds at other times show them; for ever is near to nothing else.
func near(a, b string) bool {
	m, err1 := strconv.ParseInt(a, 10, 64)
	f, err2 := strconv.ParseInt(b, 10, 64)
	if err1 != nil || err2 != nil || m < 0 || f < 0 {
		return a == b
	}
	return m-f <= 2 && f-m <= 2
}
