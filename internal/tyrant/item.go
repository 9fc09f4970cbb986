package tyrant

import (
	"bytes"
	"fmt"
	"strconv"
)

// Functions of misc that only futago has. They carry records with all that clients can store.
const (
	// MiscImport stores records. Arguments: a StoreMode, then the fields of each Item. Reply: the size of the largest value that the
	// server takes, in decimal, then an Outcome for each record; after OutcomeFault and a text nothing more was tried.
	MiscImport = "import"
	// MiscExport lists records. Arguments: a place, "" at first, a prefix of keys, and the most records wanted. Reply: the place of the
	// next ones, "" after the last, then the fields of each Item. There may be none though others follow, and a few more than wanted.
	MiscExport = "export"
	// MiscExportKeys returns records. Arguments: keys. Reply: the fields of the Items that are there, in the order of the keys.
	MiscExportKeys = "exportkeys"
)

// Item is a record with all that clients can store.
type Item struct {
	Key, Value []byte
	Flags      uint32 // of memcached's clients
	Expires    int64  // Unix milliseconds, 0 = never
	Type       []byte // HTTP Content-Type, empty = none
	// Damaged says that the server has the record and cannot read it. It has nothing but a key then.
	Damaged bool
}

// StoreMode says what storing does. The zero value is no mode.
type StoreMode string

const (
	StoreAll    StoreMode = "set"
	StoreAbsent StoreMode = "add" // leaves what is there
	CheckAll    StoreMode = "check set"
	CheckAbsent StoreMode = "check add"
)

// Outcome is what came of storing an Item.
type Outcome string

const (
	OutcomeStored Outcome = "stored" // in a check: would be
	OutcomeKept   Outcome = "kept"   // something is there
	OutcomeKey    Outcome = "key"    // no or too long a key
	OutcomeValue  Outcome = "value"  // too large a value
	OutcomeType   Outcome = "type"   // too long a type
	// OutcomeFault begins the outcome that the state of the server is to blame for: a colon, a space and a text follow.
	OutcomeFault Outcome = "fault"
)

// itemFields is how many elements of a list an Item takes.
const itemFields = 5

// damagedField stands in the place of the flags.
const damagedField = "damaged"

// AppendItem appends the fields of an item to a list.
func AppendItem(list [][]byte, i *Item) [][]byte {
	flags := strconv.AppendUint(nil, uint64(i.Flags), 10)
	if i.Damaged {
		flags = []byte(damagedField)
	}
	return append(list, i.Key, i.Value, flags, strconv.AppendInt(nil, i.Expires, 10), i.Type)
}

// ItemKeys returns the keys of the items in a list.
func ItemKeys(list [][]byte) (keys [][]byte) {
	for i := 0; i < len(list); i += itemFields {
		keys = append(keys, list[i])
	}
	return keys
}

// DecodeItems reads what AppendItem has appended. The items share the bytes of the list.
func DecodeItems(list [][]byte) ([]Item, error) {
	if len(list)%itemFields != 0 {
		return nil, fmt.Errorf("read records: %d fields, want %d for each", len(list), itemFields)
	}
	items := make([]Item, 0, len(list)/itemFields)
	for ; len(list) > 0; list = list[itemFields:] {
		i := Item{Key: list[0], Value: list[1], Type: list[4]}
		if i.Damaged = string(list[2]) == damagedField; !i.Damaged {
			flags, err := strconv.ParseUint(string(list[2]), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("read record %.64q: flags %.32q", i.Key, list[2])
			}
			i.Flags = uint32(flags)
		}
		var err error
		if i.Expires, err = strconv.ParseInt(string(list[3]), 10, 64); err != nil || i.Expires < 0 {
			return nil, fmt.Errorf("read record %.64q: expiry %.32q", i.Key, list[3])
		}
		items = append(items, i)
	}
	return items, nil
}

// Import stores records and returns what came of each, and the size of the largest value that the server takes, which is told for no
// records as well. fault is why the server stores nothing more; then the outcomes are those of the records before.
func (c *Client) Import(mode StoreMode, items []Item) (outcomes []Outcome, maxValue int64, fault error, err error) {
	args := make([][]byte, 1, 1+len(items)*itemFields)
	args[0] = []byte(mode)
	for i := range items {
		args = AppendItem(args, &items[i])
	}
	list, err := c.Misc(MiscImport, 0, args...)
	if err != nil {
		return nil, 0, nil, err
	}
	if len(list) > 0 {
		maxValue, err = strconv.ParseInt(string(list[0]), 10, 64)
	}
	if len(list) == 0 || len(list) > len(items)+1 || err != nil || maxValue < 0 {
		return nil, 0, nil, c.fail(CodeRecv, fmt.Errorf("reply to import: %d elements for %d records", len(list), len(items)))
	}
	for _, b := range list[1:] {
		if text, ok := bytes.CutPrefix(b, []byte(OutcomeFault+": ")); ok {
			return outcomes, maxValue, fmt.Errorf("%.200s", text), nil
		}
		outcomes = append(outcomes, Outcome(b))
	}
	if len(outcomes) != len(items) {
		return nil, 0, nil, c.fail(CodeRecv, fmt.Errorf("reply to import: %d outcomes of %d records", len(outcomes), len(items)))
	}
	return outcomes, maxValue, nil, nil
}

// Export returns some of the records whose keys begin with prefix, about most of them, and the place of the next ones, "" after the last.
func (c *Client) Export(place string, prefix []byte, most int) (items []Item, next string, err error) {
	list, err := c.Misc(MiscExport, 0, []byte(place), prefix, strconv.AppendInt(nil, int64(most), 10))
	if err != nil {
		return nil, "", err
	}
	if len(list) == 0 {
		return nil, "", c.fail(CodeRecv, fmt.Errorf("reply to export: no place"))
	}
	if items, err = DecodeItems(list[1:]); err != nil {
		return nil, "", c.fail(CodeRecv, err)
	}
	return items, string(list[0]), nil
}

// ExportKeys returns those of the records that are there, in the order of the keys.
func (c *Client) ExportKeys(keys [][]byte) ([]Item, error) {
	list, err := c.Misc(MiscExportKeys, 0, keys...)
	if err != nil {
		return nil, err
	}
	items, err := DecodeItems(list)
	if err == nil && len(items) > len(keys) {
		err = fmt.Errorf("reply to exportkeys: %d records for %d keys", len(items), len(keys))
	}
	if err != nil {
		return nil, c.fail(CodeRecv, err)
	}
	return items, nil
}
