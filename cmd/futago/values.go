package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value gives a setting access to the variable behind it, whatever its Go type.
type value struct {
	// kind is the word that help shows for the value.
	kind string
	// list says that the value may be given several times.
	list bool
	// number and boolean say that a TOML number or boolean is welcome beside a string.
	number, boolean bool
	// set replaces the variable. A value that is no list gets exactly one word.
	set func(words []string) error
	// words returns what set would need to restore the present state.
	words func() []string
}

func textValue(p *string) value {
	return value{
		kind:  "text",
		set:   func(words []string) error { *p = words[0]; return nil },
		words: func() []string { return []string{*p} },
	}
}

func listValue(p *[]string) value {
	return value{
		kind:  "text",
		list:  true,
		set:   func(words []string) error { *p = slices.Clone(words); return nil },
		words: func() []string { return *p },
	}
}

// choiceValue is one of the given words. The empty word is allowed too where it is the default.
func choiceValue(p *string, allowed ...string) value {
	emptyAllowed := *p == ""
	return value{
		kind: strings.Join(allowed, "|"),
		set: func(words []string) error {
			w := words[0]
			if !slices.Contains(allowed, w) && !(w == "" && emptyAllowed) {
				return fmt.Errorf("%q is not known: want %s%s", w, strings.Join(allowed, ", "), didYouMean("", w, allowed))
			}
			*p = w
			return nil
		},
		words: func() []string { return []string{*p} },
	}
}

func intValue[T ~int | ~int64](p *T) value {
	return value{
		kind:   "number",
		number: true,
		set: func(words []string) error {
			n, err := strconv.ParseInt(words[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a whole number", words[0])
			}
			*p = T(n)
			return nil
		},
		words: func() []string { return []string{strconv.FormatInt(int64(*p), 10)} },
	}
}

func boolValue(p *bool) value {
	return value{
		kind:    "true|false",
		boolean: true,
		set: func(words []string) error {
			switch words[0] {
			case "true":
				*p = true
			case "false":
				*p = false
			default:
				return fmt.Errorf("%q is neither true nor false", words[0])
			}
			return nil
		},
		words: func() []string { return []string{strconv.FormatBool(*p)} },
	}
}

func durationValue(p *time.Duration) value {
	return value{
		kind: "duration",
		set: func(words []string) error {
			d, err := time.ParseDuration(words[0])
			if err != nil {
				return fmt.Errorf("%q is not a duration: want a number with a unit, such as 300ms, 2s or 1h30m", words[0])
			}
			*p = d
			return nil
		},
		words: func() []string { return []string{formatDuration(*p)} },
	}
}

// formatDuration drops the zero units of Duration.String: 1m instead of 1m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// sizeValue is a number of bytes behind any integer type.
func sizeValue[T ~int | ~int64 | ~uint64](p *T) value {
	return value{
		kind:   "size",
		number: true,
		set: func(words []string) error {
			n, err := parseSize(words[0])
			if err != nil {
				return err
			}
			*p = T(n)
			return nil
		},
		words: func() []string { return []string{formatSize(int64(*p))} },
	}
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	// Longest suffix first: every name ends in B.
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"B", 1},
}

// parseSize reads a number of bytes: digits, or digits and one of B, KiB, MiB, GiB, TiB. MB and the
// like are refused, because readers disagree whether they mean 1000 or 1024.
func parseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && int64(n) > math.MaxInt64/unit:
		return 0, fmt.Errorf("%q is too large: the largest size is %d bytes", s, int64(math.MaxInt64))
	case err != nil:
		return 0, fmt.Errorf("%q is not a size: want bytes, or a whole number with KiB, MiB, GiB or TiB, such as 64MiB", s)
	}
	return int64(n) * unit, nil
}

// formatSize writes n with the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
