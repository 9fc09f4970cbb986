// Package futago is a client for pairs of equal key-value servers that speak the memcached text protocol: futago
// itself, and memcached. It spreads keys over its servers exactly as the Memcache class of PHP does, or libmemcached (the
// same server for the same key, proven with recorded choices), and goes on with another server when one fails.
//
//	c, err := futago.New(futago.Config{Servers: []futago.Server{
//		{Addr: "192.168.0.177:11211"},
//		{Addr: "192.168.0.178:11211"},
//	}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Set(ctx, &futago.Item{Key: "greeting", Value: []byte("hello"), Expiration: time.Hour})
//	item, err := c.Get(ctx, "greeting")
//	if errors.Is(err, futago.ErrCacheMiss) { ... }
//
// A server that refuses, hangs or talks nonsense is left alone; its keys go where PHP sends them, or to any working
// server where PHP gives up. A probe in the background finds out when it answers again, so no request waits
// for it. Requests that may be repeated (reads, Set, Replace, Delete, Touch) are repeated elsewhere when a server
// dies under them; the others (Add, Append, Prepend, CompareAndSwap, Increment, Decrement) then return [ErrUnknown], and so
// does a write that may be repeated when none is left.
// Config.PHPCompatible gives PHP's behaviour instead, its weaknesses included.
package futago
