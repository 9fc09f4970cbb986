package memcache

import (
	"strings"
	"testing"
)

var metaCases = []struct {
	input string
	want  []string
}{
	{"mg a\r\n", []string{`mg key="a"`}},
	{"mg a s v q O1 k\r\n", []string{`mg key="a" s v q O1 k`}},
	{"mg Zm9v b k\r\n", []string{`mg key="foo" keytext="Zm9v" b k`}},
	{"mg a T30 N-1 R2147483648\r\n", []string{`mg key="a" T30 N-1 R2147483648 T=30 N=-1 R=-2147483648`}},
	{"mg a P L Pabc\r\n", []string{`error reply="CLIENT_ERROR duplicate flag\r\n"`}},
	{"mg a O" + strings.Repeat("1", 31) + "\r\n", []string{`mg key="a" O` + strings.Repeat("1", 31)}},
	{"mg a O" + strings.Repeat("1", 32) + "\r\n", []string{`error reply="CLIENT_ERROR opaque token too long\r\n"`}},
	{"mg a Tx Z\r\n", []string{`error reply="CLIENT_ERROR invalid flag\r\n"`}},
	{"mg a Tx C1\r\n", []string{`error reply="CLIENT_ERROR bad token in command line format\r\n"`}},
	{"mg a Tx Jx\r\n", []string{`error reply="CLIENT_ERROR invalid numeric initial value\r\n"`}},
	{"mg a \x80\r\n", []string{`error reply="CLIENT_ERROR duplicate flag\r\n"`}},
	{"mg a 1\r\n", []string{`error reply="CLIENT_ERROR invalid flag\r\n"`}},
	{"mg ==== b\r\n", []string{`error reply="CLIENT_ERROR error decoding key\r\n"`}},
	{"mg Y\rQ== b\r\nmg YR== b\r\n", []string{`error reply="CLIENT_ERROR error decoding key\r\n"`, `error reply="CLIENT_ERROR error decoding key\r\n"`}},
	{"mg a s t f c k v h l u O1 T1 N1 R1 P1 q L F5\r\n", []string{`mg key="a" s t f c k v h l u O1 T1 N1 R1 P1 q L F5 T=1 N=1 R=1 F=5`}},
	{"mg a s t f c k v h l u O1 T1 N1 R1 P1 q L F5 I\r\n", []string{`error reply="CLIENT_ERROR options flags are too long\r\n"`}},
	{"md a s t f c k v h l u O1 T1 N1 R1 P1 q L F5 I\r\n", []string{`error reply="CLIENT_ERROR options flags too long\r\n"`}},
	{"mg\r\nmg  \r\nme\r\n", []string{`error reply="ERROR\r\n"`, `error reply="ERROR\r\n"`, `error reply="CLIENT_ERROR bad command line format\r\n"`}},
	{"mg " + strings.Repeat("k", 251) + "\r\n", []string{`error reply="CLIENT_ERROR bad command line format\r\n"`}},
	{"ms a 3 T0 F9 MA E7 C5\r\nabc\r\n", []string{`ms key="a" value="abc" T0 F9 MA E7 C5 F=9 C=5 E=7 M=A`}},
	{"ms YQ== 3 b I\r\nabc\r\nmn\r\n", []string{`ms key="a" value="abc" keytext="YQ==" b I`, `mn`}},
	{"ms a 0\r\n\r\n", []string{`ms key="a" value=""`}},
	{"ms a 3 Mx\r\nabc\r\nmn\r\n", []string{`error reply="CLIENT_ERROR invalid mode for ms M token\r\n"`, `mn`}},
	{"ms a 3 MSS\r\nabc\r\nmn\r\n", []string{`error reply="CLIENT_ERROR incorrect length for M token\r\n"`, `mn`}},
	{"ms a 3 F4294967296\r\nabc\r\nmn\r\n", []string{`error reply="CLIENT_ERROR bad command line format\r\n"`, `mn`}},
	{"ms a 3\r\nabcde\r\nmn\r\n", []string{`error reply="CLIENT_ERROR bad data chunk\r\n"`, `error reply="ERROR\r\n"`, `mn`}},
	{"ms a S3\r\nabc\r\nmn\r\n", []string{`error reply="CLIENT_ERROR bad command line format\r\n"`, `error reply="ERROR\r\n"`, `mn`}},
	{"ms a -1\r\nms a\r\nms\r\n", []string{`error reply="CLIENT_ERROR bad command line format\r\n"`, `error reply="CLIENT_ERROR bad command line format\r\n"`, `error reply="ERROR\r\n"`}},
	{"ms a 11 T0\r\n12345678901\r\nmn\r\n", []string{`error key="a" reply="SERVER_ERROR object too large for cache\r\n" drop`, `mn`}},
	{"md a q C5 I T3 x\r\n", []string{`md key="a" q C5 I T3 x T=3 C=5`}},
	{"md a Z\r\nma a D-1\r\nma a Mx\r\n", []string{`error reply="CLIENT_ERROR invalid or duplicate flag\r\n"`, `error reply="CLIENT_ERROR invalid or duplicate flag\r\n"`, `error reply="CLIENT_ERROR invalid mode for ma M token\r\n"`}},
	{"ma a\r\nma a MD D3 N0 J13\r\nma a M+\r\n", []string{`ma key="a"`, `ma key="a" MD D3 N0 J13 D=3 J=13 M=D`, `ma key="a" M+ M=+`}},
	{"me a Z\r\nme YQ== b\r\nme Y b\r\nmn x y\r\n", []string{`me key="a"`, `me key="a" keytext="YQ==" b`, `error reply="CLIENT_ERROR bad command line format\r\n"`, `mn`}},
}

func TestDecodeMeta(t *testing.T) {
	for _, c := range metaCases {
		checkDecode(t, Decoder{MaxValue: 10}, c.input, c.want)
	}
}
