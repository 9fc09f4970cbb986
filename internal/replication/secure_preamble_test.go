package replication

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// goldenPreamble is an example of every part; docs/protocol/peer.md explains them.
func goldenPreamble() map[string][]byte {
	o := opening{Offers: offerZstd, Secret: true}
	a := answer{Chosen: offerZstd, Secret: true}
	var binding [bindingSize]byte
	for i := range nonceSize {
		o.Nonce[i], a.Nonce[i], binding[i] = byte(i), byte(0x80+i), byte(0xc0+i)
	}
	key := []byte("sixteen bytes ok")
	proof := prove(key, roleFollower, &o, &a, binding)
	return map[string][]byte{
		"opening":         o.append(nil),
		"opening, plain":  (&opening{Nonce: o.Nonce}).append(nil),
		"answer":          a.append(nil),
		"answer, plain":   (&answer{Nonce: a.Nonce}).append(nil),
		"answer, refused": (&answer{Code: refusedPlain}).append(nil),
		"proof":           proof[:],
		"verdict":         (&verdict{Proof: prove(key, roleSource, &o, &a, binding)}).append(nil),
		"verdict, wrong":  (&verdict{Code: refusedSecretWrong}).append(nil),
	}
}

// TestGoldenPreamble keeps the preamble as it is: bytes that differ need another preambleVersion. -update writes them.
func TestGoldenPreamble(t *testing.T) { checkGolden(t, "preamble.json", goldenPreamble()) }

// A proof depends on every bit of what was said, on the side, on the secret and on the TLS session.
func TestProofCoversEverything(t *testing.T) {
	parts := goldenPreamble()
	o, err := decodeOpening(parts["opening"])
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeAnswer(parts["answer"])
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[proofSize]byte]string{}
	add := func(what string, p [proofSize]byte) {
		t.Helper()
		if other, ok := seen[p]; ok {
			t.Errorf("%s has the proof of %s", what, other)
		}
		seen[p] = what
	}
	key, none := []byte("sixteen bytes ok"), [bindingSize]byte{}
	add("the follower", prove(key, roleFollower, &o, &a, none))
	add("the source", prove(key, roleSource, &o, &a, none))
	add("another secret", prove([]byte("sixteen bytes no"), roleFollower, &o, &a, none))
	add("no secret", prove(nil, roleFollower, &o, &a, none))
	add("another session", prove(key, roleFollower, &o, &a, [bindingSize]byte{31: 1}))
	for n, change := range []func(o *opening, a *answer){
		func(o *opening, _ *answer) { o.Offers = 0 }, func(o *opening, _ *answer) { o.Secret = false }, func(o *opening, _ *answer) { o.Nonce[31]++ },
		func(_ *opening, a *answer) { a.Chosen = 0 }, func(_ *opening, a *answer) { a.Secret = false }, func(_ *opening, a *answer) { a.Nonce[0]++ },
	} {
		o, a := o, a
		change(&o, &a)
		add("change "+string(rune('1'+n)), prove(key, roleFollower, &o, &a, none))
	}
}

// Every part that is cut or too long is an error.
func TestPreambleSizes(t *testing.T) {
	decoders := map[string]func([]byte) error{
		"opening": func(b []byte) error { _, err := decodeOpening(b); return err },
		"answer":  func(b []byte) error { _, err := decodeAnswer(b); return err },
		"verdict": func(b []byte) error { _, err := decodeVerdict(b); return err },
	}
	for name, decode := range decoders {
		part := goldenPreamble()[name]
		if err := decode(part); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range part {
			if decode(part[:n]) == nil {
				t.Errorf("%s of %d bytes passes", name, n)
			}
		}
		if decode(append(part, 0)) == nil {
			t.Errorf("%s with a byte more passes", name)
		}
	}
}

func addGolden(f *testing.F) {
	for _, b := range goldenPreamble() {
		f.Add(b)
	}
}

func FuzzOpening(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOpening(b); err == nil && !bytes.Equal(o.append(nil), b) {
			t.Fatalf("%x became %x", b, o.append(nil))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := decodeAnswer(b); err == nil && !bytes.Equal(a.append(nil), b) {
			t.Fatalf("%x became %x", b, a.append(nil))
		}
	})
}

func FuzzVerdict(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := decodeVerdict(b); err == nil && !bytes.Equal(v.append(nil), b) {
			t.Fatalf("%x became %x", b, v.append(nil))
		}
	})
}

// scriptConn is a peer that has said all that it says.
type scriptConn struct{ io.Reader }

func (scriptConn) Write(b []byte) (int, error)      { return len(b), nil }
func (scriptConn) Close() error                     { return nil }
func (scriptConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (scriptConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (scriptConn) SetDeadline(time.Time) error      { return nil }
func (scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (scriptConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzPreamble lets both sides, with and without a secret, hear anything. Nobody can know the nonces, so nobody gets in
// where there is a secret.
func FuzzPreamble(f *testing.F) {
	secret := openLink(f, LinkConfig{SecretFile: writeFile(f, "secret", "sixteen bytes ok"), Compress: true})
	parts := goldenPreamble()
	f.Add(append(bytes.Clone(parts["opening"]), parts["proof"]...))
	f.Add(append(bytes.Clone(parts["answer"]), parts["verdict"]...))
	addGolden(f)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range []*Link{nil, secret} {
			_, err := l.accept(scriptConn{bytes.NewReader(b)}, time.Second)
			_, err2 := l.dialed(scriptConn{bytes.NewReader(b)}, "a:1", time.Second)
			if l != nil && (err == nil || err2 == nil) {
				t.Fatalf("somebody without the secret was let in: %v, %v", err, err2)
			}
		}
	})
}
