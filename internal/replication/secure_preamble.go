package replication

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The preamble comes before everything else on a connection, with TLS inside of it. Every part has a fixed size:
//
//	F opening   magic 8, version 2, offers 1, secret 1, zero 4, nonce 32
//	S answer    magic 8, version 2, refusal 1, chosen 1, secret 1, zero 3, nonce 32
//	F proof     HMAC-SHA-256 32
//	S verdict   refusal 1, zero 7, HMAC-SHA-256 32
const (
	preambleMagic = "\xf7futago\n"
	// preambleVersion is that of the whole peer protocol.
	preambleVersion = protocolVersion

	prefixSize  = 10 // magic and version, the same in every version
	openingSize = 48
	answerSize  = 48
	proofSize   = sha256.Size
	verdictSize = 8 + proofSize
	nonceSize   = 32
	bindingSize = 32

	// offerZstd packs what the source sends. Offers that a source does not know are not chosen.
	offerZstd = 1 << 0
)

var errPreamble = errors.New("malformed preamble")

// refusal is why a source serves a connection no further.
type refusal byte

const (
	accepted             refusal = 0
	refusedVersion       refusal = 1
	refusedPlain         refusal = 2 // only the source uses TLS
	refusedTLS           refusal = 3 // only the follower uses TLS
	refusedSecretMissing refusal = 4 // only the source has a secret
	refusedSecretExtra   refusal = 5 // only the follower has a secret
	refusedSecretWrong   refusal = 6
)

// refusalReasons says what happened and what to do.
var refusalReasons = map[refusal]string{
	refusedVersion:       "the nodes speak different versions of the peer protocol: run the same release on both",
	refusedPlain:         "{source} requires TLS and {follower} uses none: set peer-tls-cert, peer-tls-key and peer-tls-ca on both nodes",
	refusedTLS:           "{follower} uses TLS and {source} does not: set peer-tls-cert, peer-tls-key and peer-tls-ca on both nodes",
	refusedSecretMissing: "{source} has a shared secret and {follower} has none: set peer-secret-file on both nodes",
	refusedSecretExtra:   "{follower} has a shared secret and {source} has none: set peer-secret-file on both nodes",
	refusedSecretWrong:   "the shared secrets differ: put the same one into the peer-secret-file of both nodes",
}

// reason is the text for one of the sides.
func (r refusal) reason(of role) string {
	text, ok := refusalReasons[r]
	if !ok {
		return fmt.Sprintf("the peer gives reason %d, which this release does not know: run the same release on both", r)
	}
	source, follower := "this node", "the peer"
	if of == roleFollower {
		source, follower = follower, source
	}
	return strings.NewReplacer("{source}", source, "{follower}", follower).Replace(text)
}

func versionReason(theirs uint16) string {
	return fmt.Sprintf("the peer speaks version %d of the peer protocol, this node %d: run the same release on both", theirs, preambleVersion)
}

// opening is what a follower says first.
type opening struct {
	Offers byte // of the follower: what it can unpack
	Secret bool // the follower has a secret
	Nonce  [nonceSize]byte
}

// answer is what the source says to it.
type answer struct {
	Code   refusal // accepted, or the last that is said
	Chosen byte    // of the offers
	Secret bool    // the source has a secret
	Nonce  [nonceSize]byte
}

// verdict is what the source thinks of the follower's proof.
type verdict struct {
	Code  refusal
	Proof [proofSize]byte // of the source
}

func appendPrefix(b []byte) []byte {
	return binary.LittleEndian.AppendUint16(append(b, preambleMagic...), preambleVersion)
}

// decodePrefix returns the version in the first prefixSize bytes.
func decodePrefix(b []byte) (uint16, error) {
	if len(b) != prefixSize || string(b[:len(preambleMagic)]) != preambleMagic {
		return 0, fmt.Errorf("%w: it begins with %q", errPreamble, b[:min(len(b), prefixSize)])
	}
	return binary.LittleEndian.Uint16(b[len(preambleMagic):]), nil
}

func (o *opening) append(b []byte) []byte {
	b = append(appendPrefix(b), o.Offers, boolByte(o.Secret), 0, 0, 0, 0)
	return append(b, o.Nonce[:]...)
}

func decodeOpening(b []byte) (opening, error) {
	if err := checkPart("opening", b, openingSize, 11, 12, 16); err != nil {
		return opening{}, err
	}
	return opening{Offers: b[10], Secret: b[11] == 1, Nonce: [nonceSize]byte(b[16:])}, nil
}

func (a *answer) append(b []byte) []byte {
	b = append(appendPrefix(b), byte(a.Code), a.Chosen, boolByte(a.Secret), 0, 0, 0)
	return append(b, a.Nonce[:]...)
}

func decodeAnswer(b []byte) (answer, error) {
	if err := checkPart("answer", b, answerSize, 12, 13, 16); err != nil {
		return answer{}, err
	}
	return answer{Code: refusal(b[10]), Chosen: b[11], Secret: b[12] == 1, Nonce: [nonceSize]byte(b[16:])}, nil
}

// checkPart checks what opening and answer have in common: version 2, a byte that is 0 or 1, bytes that are zero.
func checkPart(name string, b []byte, size, flag, zeroFrom, zeroTo int) error {
	if len(b) != size {
		return fmt.Errorf("%w: %s of %d bytes", errPreamble, name, len(b))
	}
	version, err := decodePrefix(b[:prefixSize])
	switch {
	case err != nil:
		return err
	case version != preambleVersion:
		return fmt.Errorf("%w: %s of version %d", errPreamble, name, version)
	case b[flag] > 1 || !allZero(b[zeroFrom:zeroTo]):
		return fmt.Errorf("%w: %s with bytes % x", errPreamble, name, b[prefixSize:zeroTo])
	}
	return nil
}

func (v *verdict) append(b []byte) []byte {
	b = append(b, byte(v.Code), 0, 0, 0, 0, 0, 0, 0)
	return append(b, v.Proof[:]...)
}

func decodeVerdict(b []byte) (verdict, error) {
	if len(b) != verdictSize || !allZero(b[1:8]) {
		return verdict{}, fmt.Errorf("%w: verdict of %d bytes", errPreamble, len(b))
	}
	return verdict{Code: refusal(b[0]), Proof: [proofSize]byte(b[8:])}, nil
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func newNonce() (n [nonceSize]byte) {
	rand.Read(n[:]) // never fails
	return n
}

// role is a side of a link, as it enters its proof: no proof can be sent back to whoever made it.
type role string

const (
	roleFollower role = "futago peer 2 follower\n"
	roleSource   role = "futago peer 2 source\n"
)

// prove returns what shows that a side knows the key: of everything that was said, and of the TLS session below, so that
// nobody can sit in the middle of two.
func prove(key []byte, by role, o *opening, a *answer, binding [bindingSize]byte) (p [proofSize]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(by))
	h.Write(o.append(nil))
	h.Write(a.append(nil))
	h.Write(binding[:])
	h.Sum(p[:0])
	return p
}

// equalProofs takes the same time whatever differs.
func equalProofs(a, b [proofSize]byte) bool { return hmac.Equal(a[:], b[:]) }
