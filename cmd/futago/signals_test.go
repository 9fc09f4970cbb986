package main

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
)

func TestWatchSignals(t *testing.T) {
	signals := make(chan os.Signal)
	exits := make(chan int)
	ctx, stop := watchSignals(t.Context(), slog.New(slog.DiscardHandler), signals, func(code int) { exits <- code })
	defer stop()
	if ctx.Err() != nil {
		t.Fatal("the context ended before a signal")
	}
	signals <- syscall.SIGTERM
	<-ctx.Done()
	select {
	case code := <-exits:
		t.Fatalf("exit %d after one signal", code)
	default:
	}
	signals <- os.Interrupt
	if code := <-exits; code != exitFailure {
		t.Errorf("exit %d after the second signal, want %d", code, exitFailure)
	}
}

func TestWatchSignalsStop(t *testing.T) {
	ctx, stop := watchSignals(context.Background(), slog.New(slog.DiscardHandler), make(chan os.Signal), func(code int) {
		t.Errorf("exit %d without a signal", code)
	})
	stop()
	if ctx.Err() == nil {
		t.Error("the context goes on after stop")
	}
}
