package main

import (
	"io"
	"os"
)

// coloured reports whether what goes to w may have colours: on a terminal, unless NO_COLOR is set (https://no-color.org) or the
// terminal knows none.
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// painter puts colours on texts; false leaves them plain.
type painter bool

func (p painter) paint(t tone, text string) string {
	if !p || t == plainTone {
		return text
	}
	return string(t) + text + "\x1b[0m"
}
