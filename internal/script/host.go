package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Host runs the functions of one script. Its methods may be called from any goroutine.
type Host struct {
	config  Config
	db      Database
	log     *slog.Logger
	locks   *locks
	names   names
	stash   stash
	refused refusals

	reload sync.Mutex // one Reload or Close at a time

	mu      sync.Mutex
	current *generation // nil once closed

	stop    context.CancelFunc // of the periodic functions
	workers sync.WaitGroup
}

// New loads the script, runs its _begin, and starts the periodic functions. The caller must call Close.
func New(config Config) (*Host, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.PeriodicTimeout <= 0 {
		config.PeriodicTimeout = config.Timeout
	}
	if config.Idle == nil {
		config.Idle = justWait
	}
	h := &Host{config: config, db: config.Database, log: config.Logger, locks: newLocks(config.Idle)}
	h.names.idle = config.Idle
	h.stash.most = config.MaxStash
	g, err := h.load()
	if err != nil {
		return nil, err
	}
	h.current = g
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	for i, p := range config.Periodic {
		h.workers.Go(func() { h.repeat(ctx, i, p) })
	}
	return h, nil
}

// justWait is Config.Idle of nobody who would do anything meanwhile.
func justWait(_ context.Context, wait func()) { wait() }

// Call calls a function of the script. ok is false when the function says that it failed, by nil, false, or nothing.
// The error is ErrNoFunction, a limit, the cause of ctx, or an *Error of the script; it is not logged. A record lock
// excludes calls with a record lock of the same key, a global one all calls that lock.
func (h *Host) Call(ctx context.Context, name string, key, value []byte, lock LockMode) (reply []byte, ok bool, err error) {
	deadline := time.Now().Add(h.config.Timeout)
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, ErrTimeout)
	defer cancel()
	unlock, err := h.locks.lock(ctx, lock, key)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	g, err := h.enter()
	if err != nil {
		return nil, false, err
	}
	defer g.calls.Done()
	s, err := g.take(ctx)
	if err != nil {
		return nil, false, err
	}
	defer g.give(s)
	return s.call(ctx, time.Until(deadline), func() (*lua.LFunction, error) {
		if f := s.function(name); f != nil {
			return f, nil
		}
		return nil, ErrNoFunction
	}, key, value)
}

// enter returns the generation of the script that counts now, which lives on until its calls are done.
func (h *Host) enter() (*generation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current == nil {
		return nil, ErrClosed
	}
	h.current.calls.Add(1)
	return h.current, nil
}

// Reload reads the script again and takes it if it runs in every new state and its _begin does not fail; otherwise the
// old one goes on. Calls that began keep the old one; its _end runs after them, before Reload returns. The stash and
// the locks stay.
func (h *Host) Reload() error {
	h.reload.Lock()
	defer h.reload.Unlock()
	if g, err := h.enter(); err != nil {
		return err
	} else {
		g.calls.Done()
	}
	g, err := h.load()
	if err != nil {
		return err
	}
	h.replace(g)
	return nil
}

// Close stops the periodic functions, waits for the calls that run, and runs _end.
func (h *Host) Close() {
	h.reload.Lock()
	defer h.reload.Unlock()
	h.stop()
	h.workers.Wait()
	h.replace(nil)
}

func (h *Host) replace(g *generation) {
	h.mu.Lock()
	old := h.current
	h.current = g
	h.mu.Unlock()
	if old != nil {
		old.finish()
	}
}

// load makes a generation of what the source says now.
func (h *Host) load() (*generation, error) {
	source, chunk, err := readSource(h.config.Source)
	if err != nil {
		return nil, err
	}
	proto, err := compile(source, chunk)
	if err != nil {
		return nil, fmt.Errorf("compile script: %w", err)
	}
	g, err := newGeneration(h, proto)
	if err != nil {
		return nil, fmt.Errorf("run script: %w", err)
	}
	return g, nil
}

// readSource returns the text of a script and the name that errors give it.
func readSource(source string) (text, chunk string, err error) {
	if text, ok := strings.CutPrefix(source, "@"); ok {
		if len(text) > maxSource {
			return "", "", fmt.Errorf("script has %d bytes: the limit is %d", len(text), maxSource)
		}
		return text, "script", nil
	}
	f, err := os.Open(source)
	if err != nil {
		return "", "", fmt.Errorf("open script: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return "", "", fmt.Errorf("read script: %w", err)
	}
	if len(b) > maxSource {
		return "", "", fmt.Errorf("script %s has more than %d bytes", source, maxSource)
	}
	text = string(b)
	if strings.HasPrefix(text, "#") {
		text = "--" + text // the line by which Unix finds the interpreter
	}
	return text, source, nil
}

// repeat calls a periodic function until ctx ends.
func (h *Host) repeat(ctx context.Context, i int, p Periodic) {
	ticks := time.NewTicker(p.Every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if err := h.periodic(ctx, i, p.Name); err != nil && ctx.Err() == nil {
			h.log.Error("periodic function fails", "function", p.Name, "err", err)
		}
	}
}

// periodic calls a periodic function once, in its own state.
func (h *Host) periodic(ctx context.Context, i int, name string) error {
	g, err := h.enter()
	if err != nil {
		return err
	}
	defer g.calls.Done()
	s := g.periodic[i]
	if s == nil || s.broken {
		if s, err = newState(ctx, h, g, h.config.PoolSize+1+i); err != nil {
			return fmt.Errorf("run script: %w", err)
		}
		g.periodic[i] = s
	}
	_, _, err = s.call(ctx, h.config.PeriodicTimeout, func() (*lua.LFunction, error) {
		if f, ok := s.L.G.Global.RawGetString(name).(*lua.LFunction); ok {
			return f, nil
		}
		return nil, ErrNoFunction
	}, nil, nil)
	if errors.Is(err, ErrResult) {
		return nil
	}
	return err
}
