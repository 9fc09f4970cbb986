// Gomemcache runs the client of that name. Arguments: two addresses of one store.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var wrong int

func same(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		fmt.Fprintf(os.Stderr, "%s: got %.200v, want %.200v\n", what, got, want)
		wrong++
	}
}

// is reports err only if it is another one than want.
func is(what string, err, want error) {
	if !errors.Is(err, want) {
		fmt.Fprintf(os.Stderr, "%s: got error %v, want %v\n", what, err, want)
		wrong++
	}
}

func main() {
	first, second := os.Args[1], os.Args[2]
	c, one, other := memcache.New(first, second), memcache.New(first), memcache.New(second)
	for _, each := range []*memcache.Client{c, one, other} {
		each.Timeout = 5 * time.Second
	}
	get := func(c *memcache.Client, key string) string {
		item, err := c.Get(key)
		if err != nil {
			return err.Error()
		}
		return string(item.Value)
	}
	miss := memcache.ErrCacheMiss.Error()

	is("flush", one.FlushAll(), nil)
	is("ping", c.Ping(), nil)
	same("get nothing", get(c, "g-none"), miss)
	for name, value := range map[string][]byte{"text": []byte("text"), "empty": {}, "lines": []byte("\x00\r\nEND\r\n"), "long": bytes.Repeat([]byte("x"), 900_000)} {
		is("set "+name, c.Set(&memcache.Item{Key: "g-" + name, Value: value, Flags: 0xFFFFFFFF, Expiration: 60}), nil)
		for _, at := range []*memcache.Client{c, one, other} {
			item, err := at.Get("g-" + name)
			is("get "+name, err, nil)
			same("get "+name, item != nil && bytes.Equal(item.Value, value) && item.Flags == 0xFFFFFFFF, true)
		}
	}
	var keys []string
	for i := range 200 {
		key := fmt.Sprintf("g-many-%d", i)
		keys = append(keys, key)
		is("set "+key, c.Set(&memcache.Item{Key: key, Value: []byte(key)}), nil)
	}
	items, err := other.GetMulti(append(keys, "g-none"))
	is("get many", err, nil)
	same("get many", len(items), 200)
	for key, item := range items {
		same("get many: "+key, string(item.Value), key)
	}

	is("add", c.Add(&memcache.Item{Key: "g-add", Value: []byte("1")}), nil)
	is("add again", c.Add(&memcache.Item{Key: "g-add", Value: []byte("2")}), memcache.ErrNotStored)
	is("replace nothing", c.Replace(&memcache.Item{Key: "g-none"}), memcache.ErrNotStored)
	is("replace", c.Replace(&memcache.Item{Key: "g-add", Value: []byte("b")}), nil)
	is("append", c.Append(&memcache.Item{Key: "g-add", Value: []byte("c")}), nil)
	is("prepend", c.Prepend(&memcache.Item{Key: "g-add", Value: []byte("a")}), nil)
	is("append to nothing", c.Append(&memcache.Item{Key: "g-none"}), memcache.ErrNotStored)
	same("appended", get(other, "g-add"), "abc")

	// Compare and swap: a token of one node holds at the other.
	item, err := one.Get("g-add")
	is("get with token", err, nil)
	stale := *item
	item.Value = []byte("swapped")
	is("cas", other.CompareAndSwap(item), nil)
	is("old cas", one.CompareAndSwap(&stale), memcache.ErrCASConflict)
	same("after cas", get(one, "g-add"), "swapped")

	is("set number", c.Set(&memcache.Item{Key: "g-n", Value: []byte("40")}), nil)
	n, err := one.Increment("g-n", 3)
	is("increment", err, nil)
	same("increment", n, uint64(43))
	n, err = other.Decrement("g-n", 100)
	is("decrement", err, nil)
	same("decrement", n, uint64(0))
	_, err = c.Increment("g-none", 1)
	is("increment nothing", err, memcache.ErrCacheMiss)
	_, err = c.Increment("g-add", 1)
	same("increment a word fails", err != nil, true)

	is("set gone", c.Set(&memcache.Item{Key: "g-gone", Expiration: int32(time.Now().Unix() - 10)}), nil)
	same("get gone", get(c, "g-gone"), miss)
	is("touch", c.Touch("g-text", 60), nil)
	is("touch nothing", c.Touch("g-none", 60), memcache.ErrCacheMiss)
	item, err = other.GetAndTouch("g-text", 60)
	is("get and touch", err, nil)
	same("get and touch", item != nil && string(item.Value) == "text", true)
	is("delete", one.Delete("g-add"), nil)
	same("get deleted", get(other, "g-add"), miss)
	is("delete again", other.Delete("g-add"), memcache.ErrCacheMiss)
	is("flush", one.FlushAll(), nil)
	same("get flushed", get(other, "g-text"), miss)

	fmt.Println("end")
	if wrong > 0 {
		os.Exit(1)
	}
}
