package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/tyrant"
)

func (t *tcrmgr) inform() error {
	if t.status {
		text, err := t.client.Stat()
		if err != nil {
			return err
		}
		t.out.Write(text)
		return nil
	}
	records, err := t.client.RNum()
	if err != nil {
		return err
	}
	size, err := t.client.Size()
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "record number: %d\nfile size: %d\n", records, size)
	return nil
}

func (t *tcrmgr) put() error {
	words, err := t.bytes(1)
	if err != nil {
		return err
	}
	if t.put1 == nil {
		return t.client.Put(words[0], words[1])
	}
	return t.put1(words[0], words[1])
}

func (t *tcrmgr) addInt(key, value []byte) error {
	sum, err := t.client.AddInt(key, leadingInt32(string(value)))
	if err == nil {
		fmt.Fprintf(t.out, "%d\n", sum)
	}
	return err
}

func (t *tcrmgr) addDouble(key, value []byte) error {
	number, err := strconv.ParseFloat(strings.TrimSpace(string(value)), 64)
	if err != nil {
		return fmt.Errorf("%.40q is not a number", value)
	}
	sum, err := t.client.AddDouble(key, number)
	if err == nil {
		fmt.Fprintf(t.out, "%.6f\n", sum)
	}
	return err
}

func (t *tcrmgr) remove() error {
	words, err := t.bytes(1)
	if err != nil {
		return err
	}
	return t.client.Out(words[0])
}

func (t *tcrmgr) get() error {
	words, err := t.bytes(1)
	if err != nil {
		return err
	}
	value, err := t.client.Get(words[0])
	if err != nil {
		return err
	}
	t.print(value)
	if !t.noNewline {
		t.out.WriteByte('\n')
	}
	return nil
}

func (t *tcrmgr) mget() error {
	keys, err := t.bytes(1)
	if err != nil {
		return err
	}
	records, err := t.client.MGet(keys)
	for _, r := range records {
		t.print(r.Key)
		t.out.WriteByte('\t')
		t.print(r.Value)
		t.out.WriteByte('\n')
	}
	return err
}

func (t *tcrmgr) list() error {
	if t.prefix != nil {
		keys, err := t.client.FwmKeys([]byte(*t.prefix), t.most)
		for _, key := range keys {
			if err := t.listKey(key); err != nil {
				return err
			}
		}
		return err
	}
	if err := t.client.IterInit(); err != nil {
		return err
	}
	for n := int32(1); ; n++ {
		key, err := t.client.IterNext()
		if tyrant.CodeOf(err) == tyrant.CodeNoRecord {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.listKey(key); err != nil {
			return err
		}
		if t.most >= 0 && n >= t.most {
			return nil
		}
	}
}

// listKey prints a key, and its value if it is asked for and still there.
func (t *tcrmgr) listKey(key []byte) error {
	t.print(key)
	if t.values {
		value, err := t.client.Get(key)
		switch tyrant.CodeOf(err) {
		case tyrant.CodeSuccess:
			t.out.WriteByte('\t')
			t.print(value)
		case tyrant.CodeNoRecord:
		default:
			return err
		}
	}
	return t.out.WriteByte('\n')
}

func (t *tcrmgr) ext() error {
	words, err := t.bytes(2)
	if err != nil {
		return err
	}
	words = append(words, nil, nil)
	result, err := t.client.Ext(t.operand(1), t.options, words[0], words[1])
	if err == nil {
		t.printLines([][]byte{result})
	}
	return err
}

func (t *tcrmgr) misc() error {
	args, err := t.bytes(2)
	if err != nil {
		return err
	}
	results, err := t.client.Misc(t.operand(1), t.options, args...)
	t.printLines(results)
	return err
}
