package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// wordsOf turns a value of a TOML document into the words that set takes.
func (v value) wordsOf(item any) ([]string, error) {
	if items, ok := item.([]any); ok {
		if !v.list {
			return nil, fmt.Errorf("is an array, want one value")
		}
		words := make([]string, 0, len(items))
		for _, item := range items {
			w, err := v.wordOf(item)
			if err != nil {
				return nil, err
			}
			words = append(words, w)
		}
		return words, nil
	}
	w, err := v.wordOf(item)
	if err != nil {
		return nil, err
	}
	return []string{w}, nil
}

func (v value) wordOf(item any) (string, error) {
	switch item := item.(type) {
	case string:
		return item, nil
	case int64:
		if v.number {
			return strconv.FormatInt(item, 10), nil
		}
	case bool:
		if v.boolean {
			return strconv.FormatBool(item), nil
		}
	}
	switch {
	case v.number:
		return "", fmt.Errorf("is no %s, or one that is not whole", v.kind)
	case v.boolean:
		return "", fmt.Errorf("is neither true nor false")
	default:
		return "", fmt.Errorf("is no string: put it in quotes")
	}
}

// tomlValue is the value in force as a TOML document would hold it. Sizes and durations are strings.
func (v value) tomlValue() any {
	words := v.words()
	switch {
	case v.list:
		return append([]string{}, words...) // nil would leave the key out
	case v.boolean:
		return words[0] == "true"
	case v.number:
		if n, err := strconv.ParseInt(words[0], 10, 64); err == nil {
			return n
		}
	}
	return words[0]
}

// show writes the values in force as TOML, each with its source. What it writes can be used as a
// configuration file, except that secrets are left out.
func (s *settings) show(w io.Writer) error {
	width := 0
	lines := make([][2]string, 0, len(s.list))
	for _, st := range s.list {
		if st.outsideFile {
			continue
		}
		if st.secret {
			lines = append(lines, [2]string{"# " + st.name + " is hidden", st.source})
			continue
		}
		line, err := toml.Marshal(map[string]any{st.name: st.value.tomlValue()})
		if err != nil {
			return fmt.Errorf("print setting %s: %w", st.name, err)
		}
		text := strings.TrimSpace(string(line))
		width = max(width, len(text))
		lines = append(lines, [2]string{text, st.source})
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "%-*s  # %s\n", min(width, 40), l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}
