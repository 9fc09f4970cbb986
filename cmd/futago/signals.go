package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends with the first SIGTERM or SIGINT: the caller then finishes its
// work in order. A second signal calls exit with the code for failure at once. stop must be called when
// the work is done.
func untilSignal(parent context.Context, logger *slog.Logger, exit func(code int)) (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	ctx, cancel := watchSignals(parent, logger, signals, exit)
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// onReload calls reload for each SIGHUP, one after the other, until stop is called.
func onReload(reload func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range signals {
			reload()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// watchSignals is untilSignal on a channel. Cancelling ends the watch and waits for its end.
func watchSignals(parent context.Context, logger *slog.Logger, signals <-chan os.Signal, exit func(code int)) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			logger.Info("draining; a second signal exits at once", "signal", s.String())
			cancel()
		case <-done:
			return
		}
		select {
		case s := <-signals:
			logger.Warn("exit without draining", "signal", s.String())
			exit(exitFailure)
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		<-ended
		cancel()
	}
}
