package front

import (
	"fmt"
	"slices"
	"strings"

	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/nearest"
)

// Options takes the text form of an upstream, `ADDR[,name=value]...`, apart: it returns the address and hands each option
// to set, whose error need not name it. An option that has no value, is not known or was given before never reaches set.
// All problems are returned at once.
func Options(text string, known []string, set func(name, value string) error) (address string, errs []error) {
	parts := strings.Split(text, ",")
	seen := make(map[string]bool)
	for _, option := range parts[1:] {
		name, value, valued := strings.Cut(option, "=")
		switch {
		case !valued:
			errs = append(errs, fmt.Errorf("option %q: want name=value (nearest known option: %s)", option, nearest.Name(name, known)))
			continue
		case seen[name]:
			errs = append(errs, fmt.Errorf("option %s: given twice", name))
			continue
		}
		seen[name] = true
		if !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("unknown option %q (nearest known option: %s)", name, nearest.Name(name, known)))
		} else if err := set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("option %s=%q: %w", name, value, err))
		}
	}
	return parts[0], errs
}

// UpstreamProblems returns what is wrong with an upstream, each naming the field, its value and what is allowed. check may
// be empty.
func UpstreamProblems(at, check string, weight, weightMax int) (errs []error) {
	if err := addr.CheckDial(at); err != nil {
		errs = append(errs, err)
	}
	if check != "" {
		address, _ := CheckAddr(check)
		if err := addr.CheckDial(address); err != nil {
			errs = append(errs, fmt.Errorf("check: %w", err))
		}
	}
	if weight < 1 || weight > weightMax {
		errs = append(errs, fmt.Errorf("weight %d: want 1 to %d", weight, weightMax))
	}
	return errs
}

// FirstLine returns the first line of what an upstream says to a check, with what is not printable ASCII replaced.
func FirstLine(answer string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(answer), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimSpace(line))
}
