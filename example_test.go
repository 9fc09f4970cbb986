package futago_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/futago/futago"
)

func Example() {
	addrs, stops := futago.StartFakes(2) // stands for two servers that run already
	defer stops[0]()
	defer stops[1]()

	c, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: addrs[0]}, {Addr: addrs[1]}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = c.Set(ctx, &futago.Item{Key: "greeting", Value: []byte("hello"), Expiration: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	item, err := c.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", item.Value)

	_, err = c.Get(ctx, "farewell")
	fmt.Println(errors.Is(err, futago.ErrCacheMiss))
	// Output:
	// hello
	// true
}

// A server dies. The next request for one of its keys finds that out and goes to the other server.
func ExampleConfig_failover() {
	addrs, stops := futago.StartFakes(2)
	defer stops[1]()

	c, err := futago.New(futago.Config{
		Servers:   []futago.Server{{Addr: addrs[0]}, {Addr: addrs[1]}},
		OnFailure: func(addr string, err error) { fmt.Println("first server failed:", addr == addrs[0]) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	stops[0]()
	ctx := context.Background()
	for i := range 20 {
		if err := c.Set(ctx, &futago.Item{Key: fmt.Sprint("key", i), Value: []byte("v")}); err != nil {
			log.Fatal(err)
		}
	}
	for _, s := range c.Servers() {
		fmt.Println("failed:", s.Failed)
	}
	// Output:
	// first server failed: true
	// failed: true
	// failed: false
}

func ExampleClient_GetMulti() {
	addrs, stops := futago.StartFakes(1)
	defer stops[0]()
	c, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: addrs[0]}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	for _, key := range []string{"a", "b"} {
		if err := c.Set(ctx, &futago.Item{Key: key, Value: []byte("value of " + key)}); err != nil {
			log.Fatal(err)
		}
	}
	keys := []string{"a", "b", "c"}
	items, err := c.GetMulti(ctx, keys)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		if item, ok := items[key]; ok {
			fmt.Printf("%s: %s\n", key, item.Value)
		} else {
			fmt.Printf("%s: none\n", key)
		}
	}
	// Output:
	// a: value of a
	// b: value of b
	// c: none
}

// Change a value only if nobody else did meanwhile.
func ExampleClient_CompareAndSwap() {
	addrs, stops := futago.StartFakes(1)
	defer stops[0]()
	c, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: addrs[0]}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	if err := c.Set(ctx, &futago.Item{Key: "state", Value: []byte("open")}); err != nil {
		log.Fatal(err)
	}
	mine, err := c.Gets(ctx, "state")
	if err != nil {
		log.Fatal(err)
	}
	theirs := *mine
	theirs.Value = []byte("closed")
	fmt.Println("theirs:", c.CompareAndSwap(ctx, &theirs))
	mine.Value = []byte("locked")
	fmt.Println("mine:", c.CompareAndSwap(ctx, mine))
	// Output:
	// theirs: <nil>
	// mine: changed by another client
}

// A request that must not be repeated ends in ErrUnknown when its reply is lost. The caller decides.
func ExampleClient_Increment() {
	addrs, stops := futago.StartFakes(1)
	defer stops[0]()
	c, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: addrs[0]}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	if err := c.Set(ctx, &futago.Item{Key: "visits", Value: []byte("41")}); err != nil {
		log.Fatal(err)
	}
	switch n, err := c.Increment(ctx, "visits", 1); {
	case errors.Is(err, futago.ErrUnknown):
		fmt.Println("counted or not, nobody knows")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println(n)
	}
	// Output: 42
}

// The server of every key is the one that PHP's Memcache class takes with the same addServer calls.
func ExampleNewSelector() {
	servers := []futago.Server{{Addr: "192.168.0.177:11211"}, {Addr: "192.168.0.178:11211"}}
	selector, err := futago.NewSelector(futago.Consistent, futago.CRC32, servers)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"count_key1", "foo", "user:1001"} {
		fmt.Println(key, servers[selector.Select(key)].Addr)
	}
	// Output:
	// count_key1 192.168.0.178:11211
	// foo 192.168.0.177:11211
	// user:1001 192.168.0.178:11211
}

// The server of every key is the one that PHP's Memcached class takes with OPT_LIBKETAMA_COMPATIBLE, and with no option at
// all.
func ExampleNewSelector_libmemcached() {
	servers := []futago.Server{{Addr: "192.168.0.177:11211"}, {Addr: "192.168.0.178:11211"}}
	for _, strategy := range []futago.Strategy{futago.Ketama, futago.Modula} {
		selector, err := futago.NewSelector(strategy, futago.DefaultHash, servers)
		if err != nil {
			log.Fatal(err)
		}
		for _, key := range []string{"count_key2", "foo", "user:1"} {
			fmt.Println(strategy, key, servers[selector.Select(key)].Addr)
		}
	}
	// Output:
	// ketama count_key2 192.168.0.178:11211
	// ketama foo 192.168.0.177:11211
	// ketama user:1 192.168.0.177:11211
	// modula count_key2 192.168.0.178:11211
	// modula foo 192.168.0.178:11211
	// modula user:1 192.168.0.178:11211
}
