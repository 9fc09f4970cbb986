package script

import (
	"context"
	"log/slog"
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// tyrantVersion is what scripts see as _version: the server whose extension this is.
const tyrantVersion = "1.1.41"

// systemFunctions are time, log and the other states.
var systemFunctions = map[string]builtin{
	"_time": func(c call) int {
		c.count(0, 0)
		return c.pushNumber(float64(time.Now().UnixMicro()) / 1e6)
	},
	"_sleep": sleep,
	"_log": func(c call) int {
		c.count(1, 2)
		c.h.tell(c.integer(2, levelInfo), c.str(1))
		return 0
	},
	"_eval": eval,
}

// The levels of _log.
const (
	levelDebug = iota
	levelInfo
	levelError
	levelSystem
)

// maxLogText bounds what a script writes at once, in bytes.
const maxLogText = 4096

// tell logs what a script says.
func (h *Host) tell(level int, text string) {
	to := slog.LevelInfo
	switch level {
	case levelDebug:
		to = slog.LevelDebug
	case levelError:
		to = slog.LevelError
	case levelInfo, levelSystem:
	}
	h.log.Log(context.Background(), to, "script says", "text", text[:min(len(text), maxLogText)])
}

// sleep is _sleep(seconds). The end of the call ends it.
func sleep(c call) int {
	c.count(1, 1)
	seconds := c.number(1)
	if !(seconds >= 0) {
		return c.pushBool(false)
	}
	timer := time.NewTimer(time.Duration(math.Min(seconds, 1e9) * float64(time.Second)))
	defer timer.Stop()
	c.h.config.Idle(c.ctx, func() {
		select {
		case <-timer.C:
		case <-c.ctx.Done():
		}
	})
	c.check(c.L)
	return c.pushBool(true)
}

// eval runs a chunk here and, if it does not fail, in every other state before its next call. Unlike in the original it
// returns false when it fails here.
func eval(c call) int {
	c.count(1, 1)
	source := c.str(1)
	if len(source) > maxEvalSource {
		return c.pushBool(false)
	}
	c.charge(c.L, sourceCost*len(source))
	proto, err := compile(source, "_eval")
	if err == nil {
		// What others evaluated comes first, so that the order is the same everywhere.
		if !c.private {
			c.catchUp()
		}
		err = c.runPrivately(proto)
	}
	if err != nil {
		c.check(c.L)
		c.h.log.Warn("_eval fails", "err", err)
		return c.pushBool(false)
	}
	if c.private {
		return c.pushBool(true)
	}
	n, ok := c.g.share(proto, len(source))
	if !ok {
		c.h.log.Warn("_eval has no room for more: load the script again", "max", maxEvals)
		return c.pushBool(false)
	}
	if c.evaluated == n-1 {
		c.evaluated = n
	}
	return c.pushBool(true)
}

// runPrivately runs a chunk whose own calls of _eval are not shared, because the chunk is.
func (c call) runPrivately(proto *lua.FunctionProto) error {
	private := c.private
	c.private = true
	defer func() { c.private = private }()
	f, err := c.load(proto)
	if err == nil {
		_, err = c.invoke(f)
	}
	return err
}
