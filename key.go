package futago

import (
	"fmt"

	"github.com/futago/futago/internal/memcache"
)

// wireKey returns the key as it goes to the server.
func (c *Client) wireKey(key string) (string, error) {
	if c.cfg.PHPCompatible {
		if key == "" {
			return "", fmt.Errorf("empty key: %w", ErrKeyInvalid)
		}
		return phpKey(c.cfg.KeyPrefix + key), nil
	}
	wire := c.cfg.KeyPrefix + key
	if key != "" && (memcache.ValidKey(wire) || c.cfg.AnyKey && len(wire) <= memcache.MaxMetaKeyLength) {
		return wire, nil
	}
	return "", fmt.Errorf("key %.64q: %w", key, ErrKeyInvalid)
}

// phpKey maps a key as PHP's memcache extension does: bytes up to the space become an underscore, and what is over
// 250 bytes is cut off. Different keys can become one.
func phpKey(key string) string {
	b := []byte(key[:min(len(key), memcache.MaxKeyLength)])
	for i := range b {
		if b[i] <= ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}
