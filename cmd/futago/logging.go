package main

import (
	"io"
	"log/slog"
)

// logConfig says how a long-running command logs to standard error.
type logConfig struct {
	// Level is debug, info, warn or error: what is less is not logged.
	Level string
	// Format is text or json.
	Format string
}

func defaultLogConfig() logConfig { return logConfig{Level: "info", Format: "text"} }

// addLogSettings puts log-level and log-format into a table.
func addLogSettings(s *settings, c *logConfig) {
	s.add("log-level", choiceValue(&c.Level, "debug", "info", "warn", "error"), "log nothing below this level")
	s.add("log-format", choiceValue(&c.Format, "text", "json"), "log lines as text or as JSON objects")
}

// level is the level that c says, which may be set later. The words of c must have come through the settings.
func (c logConfig) level() *slog.LevelVar {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic("log level passed the settings and is none: " + c.Level)
	}
	return level
}

// newLogger returns the logger that c describes, with its level.
func (c logConfig) newLogger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := c.level()
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}
