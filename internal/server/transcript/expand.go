package transcript

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// maxRepeat bounds what ${x*N} makes.
const maxRepeat = 16 << 20

// literal turns the text of a step into the bytes that it stands for.
func (p *player) literal(text string) (string, error) {
	text, err := unescape(text)
	if err != nil {
		return "", err
	}
	return p.expand(text, func(s string) string { return s })
}

// pattern compiles the text of a step so that it must match a whole line.
func (p *player) pattern(text string) (*regexp.Regexp, error) {
	text, err := p.expand(text, regexp.QuoteMeta)
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`^(?:` + text + `)$`)
}

func (p *player) expand(text string, quote func(string) string) (string, error) {
	var failed error
	text = variable.ReplaceAllStringFunc(text, func(s string) string {
		v, err := p.value(s[2 : len(s)-1])
		if err != nil {
			failed = err
		}
		return quote(v)
	})
	return text, failed
}

// value evaluates what stands between the braces.
func (p *player) value(name string) (string, error) {
	if unit, count, ok := strings.Cut(name, "*"); ok {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || n*len(unit) > maxRepeat {
			return "", fmt.Errorf("bad repetition ${%s}", name)
		}
		return strings.Repeat(unit, n), nil
	}
	if offset, ok := strings.CutPrefix(name, "now"); ok {
		n, err := strconv.Atoi(offset)
		if err != nil {
			return "", fmt.Errorf("bad time ${%s}", name)
		}
		return strconv.FormatInt(time.Now().Unix()+int64(n), 10), nil
	}
	v, ok := p.vars[name]
	if !ok {
		return "", fmt.Errorf("unknown variable ${%s}", name)
	}
	return v, nil
}
