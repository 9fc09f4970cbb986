package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// announcer prints what happens while a demo runs. It may be used by many goroutines.
type announcer struct {
	mu     sync.Mutex
	out    io.Writer
	colour painter
}

// tone is how an announcement is coloured, if at all.
type tone string

const (
	plainTone tone = ""
	goodTone  tone = "\x1b[32m"
	warnTone  tone = "\x1b[33m"
	badTone   tone = "\x1b[31m"
)

// newAnnouncer colours where out may have colours.
func newAnnouncer(out io.Writer) *announcer {
	return &announcer{out: out, colour: painter(coloured(out))}
}

// event prints a line with the time in front.
func (a *announcer) event(t tone, text string) {
	a.print(time.Now().Format(time.TimeOnly) + " " + a.colour.paint(t, text) + "\n")
}

// print writes text as it is.
func (a *announcer) print(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprint(a.out, text)
}
