package script

import (
	"bytes"
	"compress/bzip2"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"net/url"
	"strings"

	bzip "github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	lua "github.com/yuin/gopher-lua"
)

// codecFunctions are the functions on the form of strings.
var codecFunctions = map[string]builtin{"_codec": codec, "_hash": hash}

// codings by name. Each direction returns an error if the bytes do not have the form. tcbs is not among them: it is
// Tokyo Cabinet's own, and written down nowhere but in its code.
var codings = map[string]struct {
	encode, decode func(c call, b []byte) ([]byte, error)
}{
	"url":     {plain(encodeURL), decodeURL},
	"base":    {plain(encodeBase64), decodeBase64},
	"quote":   {plain(encodeQuoted), plain(decodeQuoted)},
	"hex":     {plain(encodeHex), func(_ call, b []byte) ([]byte, error) { return hex.DecodeString(string(b)) }},
	"pack":    {plain(encodePackBits), decodePackBits},
	"xml":     {plain(encodeXML), plain(decodeXML)},
	"deflate": {deflate, unpacked(func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) })},
	"gzip":    {gzipped, unpacked(func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })},
	"bzip":    {bzipped, unpacked(func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil })},
}

// codec is _codec(mode, string); ~ before the mode turns it round. What cannot be done is nil.
func codec(c call) int {
	c.count(2, 2)
	mode, b := c.str(1), c.bytes(2)
	mode, decode := strings.CutPrefix(mode, "~")
	coding, ok := codings[mode]
	if !ok {
		if mode == "tcbs" {
			c.L.RaiseError("_codec: tcbs is not supported: use deflate, gzip or bzip")
		}
		c.invalid()
	}
	f := coding.encode
	if decode {
		f = coding.decode
	}
	// No plain coding makes more than six bytes of one; what expands further counts as it goes.
	c.charge(c.L, 6*len(b))
	out, err := f(c, b)
	if err != nil {
		return c.pushNil()
	}
	return c.pushBytes(out)
}

func plain(f func(b []byte) []byte) func(call, []byte) ([]byte, error) {
	return func(_ call, b []byte) ([]byte, error) { return f(b), nil }
}

// unescaped are the characters that an URL shows as they are.
// Source: what ttserver 1.1.41 encodes.
const unescaped = "_-.!~*'()"

func encodeURL(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(b))
	for _, ch := range b {
		if inClass(ch, 'w') || strings.IndexByte(unescaped, ch) >= 0 {
			out = append(out, ch)
		} else {
			out = append(out, '%', digits[ch>>4], digits[ch&15])
		}
	}
	return out
}

func decodeURL(_ call, b []byte) ([]byte, error) {
	s, err := url.QueryUnescape(string(b))
	return []byte(s), err
}

func encodeBase64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

func decodeBase64(_ call, b []byte) ([]byte, error) {
	return base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(b))
}

func encodeHex(b []byte) []byte { return hex.AppendEncode(nil, b) }

// encodeQuoted is quoted-printable without breaking lines.
func encodeQuoted(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(b))
	for _, ch := range b {
		if ch == '=' || ch > 0x7e || ch < 0x20 && ch != '\r' && ch != '\n' && ch != '\t' {
			out = append(out, '=', digits[ch>>4], digits[ch&15])
		} else {
			out = append(out, ch)
		}
	}
	return out
}

// decodeQuoted takes = before what is no pair of digits and no end of a line for itself.
func decodeQuoted(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '=' {
			out = append(out, b[i])
			continue
		}
		rest := b[i+1:]
		var ch [1]byte
		switch {
		case bytes.HasPrefix(rest, []byte("\r\n")):
			i += 2
		case bytes.HasPrefix(rest, []byte("\n")):
			i++
		case len(rest) >= 2 && decodesHex(ch[:], rest[:2]):
			out = append(out, ch[0])
			i += 2
		default:
			out = append(out, '=')
		}
	}
	return out
}

func decodesHex(dst, src []byte) bool {
	_, err := hex.Decode(dst, src)
	return err == nil
}

// encodePackBits writes runs of equal bytes as (1-n) and the byte, others as (n-1) and the bytes.
func encodePackBits(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		run := 1
		for run < len(b) && run < 128 && b[run] == b[0] {
			run++
		}
		if run > 1 {
			out = append(out, byte(1-run), b[0])
			b = b[run:]
			continue
		}
		n := 1
		for n < len(b) && n < 128 && (n+1 >= len(b) || b[n] != b[n+1]) {
			n++
		}
		out = append(append(out, byte(n-1)), b[:n]...)
		b = b[n:]
	}
	return out
}

var errCoding = errors.New("bytes do not have the form")

func decodePackBits(c call, b []byte) ([]byte, error) {
	var out []byte
	for len(b) > 0 {
		n := int(int8(b[0]))
		b = b[1:]
		switch {
		case n >= 0:
			if len(b) < n+1 {
				return nil, errCoding
			}
			out = append(out, b[:n+1]...)
			b = b[n+1:]
		case n == -128: // nothing, by PackBits
		default:
			if len(b) == 0 {
				return nil, errCoding
			}
			c.charge(c.L, 1-n)
			out = append(out, bytes.Repeat(b[:1], 1-n)...)
			b = b[1:]
		}
	}
	return out, nil
}

var (
	xmlEscapes   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	xmlUnescapes = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`)
)

func encodeXML(b []byte) []byte { return []byte(xmlEscapes.Replace(string(b))) }
func decodeXML(b []byte) []byte { return []byte(xmlUnescapes.Replace(string(b))) }

// deflate has zlib's header and checksum.
func deflate(_ call, b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	return written(&out, w, b)
}

func gzipped(_ call, b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	return written(&out, w, b)
}

func bzipped(c call, b []byte) ([]byte, error) {
	c.charge(c.L, 8<<20) // its tables
	var out bytes.Buffer
	w, err := bzip.NewWriter(&out, nil)
	if err != nil {
		return nil, err
	}
	return written(&out, w, b)
}

func written(out *bytes.Buffer, w io.WriteCloser, b []byte) ([]byte, error) {
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unpacked reads piece by piece and counts: few bytes may become very many.
func unpacked(open func(io.Reader) (io.Reader, error)) func(c call, b []byte) ([]byte, error) {
	return func(c call, b []byte) ([]byte, error) {
		c.charge(c.L, 64<<10)
		r, err := open(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		var out []byte
		piece := make([]byte, 32<<10)
		for {
			n, err := r.Read(piece)
			c.charge(c.L, 2*n)
			c.check(c.L)
			out = append(out, piece[:n]...)
			if err == io.EOF {
				return out, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// hash is _hash(mode, string).
func hash(c call) int {
	c.count(2, 2)
	b := c.bytes(2)
	switch c.str(1) {
	case "md5":
		sum := md5.Sum(b)
		return c.pushString(hex.EncodeToString(sum[:]))
	case "md5raw":
		sum := md5.Sum(b)
		return c.pushBytes(sum[:])
	case "crc32":
		return c.push(lua.LNumber(crc32.ChecksumIEEE(b)))
	}
	c.invalid()
	return 0
}
