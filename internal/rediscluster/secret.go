package rediscluster

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/futago/futago/internal/reload"
)

// mostSecret bounds a file with a password, in bytes.
const mostSecret = 64 << 10

// Secret is a password in a file. nil is none.
type Secret struct {
	path string
	text atomic.Pointer[string]
}

// OpenSecret reads the first line of a file.
func OpenSecret(path string) (*Secret, error) {
	s := &Secret{path: path}
	take, err := s.Prepare()
	if err != nil {
		return nil, err
	}
	take()
	return s, nil
}

// Text is the password.
func (s *Secret) Text() string {
	if s == nil {
		return ""
	}
	return *s.text.Load()
}

// Prepare reads the file again, and returns what puts its password in force for the connections to come.
func (s *Secret) Prepare() (take func(), err error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	if info.Size() > mostSecret {
		return nil, fmt.Errorf("read password: %s has more than %d bytes", s.path, mostSecret)
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return nil, fmt.Errorf("read password: the first line of %s is empty", s.path)
	}
	return func() { s.text.Store(&line) }, nil
}

// Files are those that a reload reads again, for the connections to come.
func (cfg *Config) Files() (all []reload.File) {
	if cfg.TLS != nil && cfg.TLS.Reads() {
		all = append(all, reload.File{Name: "certificates for the cluster", Read: cfg.TLS.Prepare})
	}
	if cfg.Password != nil {
		all = append(all, reload.File{Name: "password for the cluster", Read: cfg.Password.Prepare})
	}
	return all
}
