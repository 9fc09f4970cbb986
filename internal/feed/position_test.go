package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/futago/futago/internal/ulog"
)

func examplePosition() Position {
	life := ulog.Identity{0: 0xa1, 15: 0xff}
	return Position{Node: 2, At: ulog.Position{Life: life, Seq: 1000, CRC: 0xdeadbeef}, Claims: []Claim{
		{Node: 1, At: ulog.Position{Life: ulog.Identity{7: 3}, Seq: 1 << 40, CRC: 1}},
		{Node: 1023, At: ulog.Position{Life: life, Seq: 7}, Gap: true},
	}}
}

// seal gives bytes a good checksum.
func seal(b []byte) string {
	b = binary.LittleEndian.AppendUint32(b[:len(b):len(b)], crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestPositionText(t *testing.T) {
	want := examplePosition()
	got, err := ParsePosition(want.String())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	// The text that programs keep: other bytes need another version.
	const golden = "AQIAoQAAAAAAAAAAAAAAAAAA_-gDAAAAAAAA776t3gIBAAAAAAAAAAADAAAAAAAAAAAAAAAAAAEAAAEAAAAA_wOhAAAAAAAAAAAAAAAAAAD_BwAAAAAAAAAAAAAAAWw4ULM"
	if want.String() != golden {
		t.Errorf("text is %s, was %s", want, golden)
	}
	largest := Position{Node: 1}
	for node := range maxClaims {
		largest.claim(node + 2).At = want.At
	}
	if largest.claim(500) != nil {
		t.Errorf("claim %d was taken", maxClaims+1)
	}
	if text := largest.String(); len(text) > maxPosition {
		t.Errorf("the largest position has %d characters, the limit is %d", len(text), maxPosition)
	} else if _, err := ParsePosition(text); err != nil {
		t.Errorf("largest position: %v", err)
	}
}

func TestPositionRefused(t *testing.T) {
	good := examplePosition().String()
	b, _ := base64.RawURLEncoding.DecodeString(good)
	b = b[:len(b)-4]
	changed := func(at int, to byte) string {
		c := []byte(string(b))
		c[at] = to
		return seal(c)
	}
	second := positionHead + claimSize
	tests := map[string]string{
		"empty":              "",
		"long":               strings.Repeat("A", maxPosition+1),
		"another alphabet":   strings.Repeat("+", len(good)),
		"padded":             good + "=",
		"a bit of checksum":  "B" + good[1:],
		"version":            changed(0, 2),
		"node 0":             seal(append([]byte{1, 0, 0}, b[3:]...)),
		"node 1024":          changed(2, 4),
		"fewer claims":       changed(positionHead-1, 1),
		"more claims":        changed(positionHead-1, 3),
		"too many claims":    changed(positionHead-1, 255),
		"gap 2":              changed(positionHead+placeSize, 2),
		"claim on its node":  changed(positionHead, 2),
		"claims not sorted":  seal(append(append(append([]byte{}, b[:positionHead]...), b[second:]...), b[positionHead:second]...)),
		"claim twice":        seal(append(append(append([]byte{}, b[:positionHead]...), b[positionHead:second]...), b[positionHead:second]...)),
		"claim on node 0":    changed(positionHead, 0),
		"claim on node 2047": changed(second+1, 7),
	}
	for i := range good {
		if p, err := ParsePosition(good[:i]); !errors.Is(err, ErrPosition) {
			t.Errorf("first %d characters: got %+v, %v", i, p, err)
		}
	}
	for name, text := range tests {
		if p, err := ParsePosition(text); !errors.Is(err, ErrPosition) {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add(examplePosition().String())
	f.Add(Position{Node: 1}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		check := func(text string) {
			p, err := ParsePosition(text)
			if err != nil {
				if !errors.Is(err, ErrPosition) {
					t.Fatalf("%q: %v", text, err)
				}
				return
			}
			if again := p.String(); again != text {
				t.Fatalf("%q reads as %+v, which is %q", text, p, again)
			}
		}
		check(text)
		check(seal([]byte(text))) // behind the checksum
	})
}
