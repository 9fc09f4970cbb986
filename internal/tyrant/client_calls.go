package tyrant

// Put stores a value.
func (c *Client) Put(key, value []byte) error {
	return c.status(Request{Command: Put, Key: key, Value: value})
}

// PutKeep stores a value if the key has none, else it returns CodeKeep.
func (c *Client) PutKeep(key, value []byte) error {
	return c.status(Request{Command: PutKeep, Key: key, Value: value})
}

// PutCat appends to the value.
func (c *Client) PutCat(key, value []byte) error {
	return c.status(Request{Command: PutCat, Key: key, Value: value})
}

// PutShl appends to the value and keeps its last width bytes.
func (c *Client) PutShl(key, value []byte, width int32) error {
	return c.status(Request{Command: PutShl, Key: key, Value: value, Width: width})
}

// PutNR is Put without a reply. It is sent with the next request that has one, by Flush, or when some of them have been
// collected; a later request on this connection sees its effect.
func (c *Client) PutNR(key, value []byte) error {
	return c.put(Request{Command: PutNR, Key: key, Value: value})
}

// Flush sends what PutNR has collected. It is not an answer: only that of a later request says that all was received.
func (c *Client) Flush() error {
	if c.lost != nil {
		return &Error{"flush", CodeInvalid, c.lost}
	}
	return c.flush()
}

// Out removes a record, or returns CodeNoRecord.
func (c *Client) Out(key []byte) error {
	return c.status(Request{Command: Out, Key: key})
}

// Get returns a value, or CodeNoRecord.
func (c *Client) Get(key []byte) ([]byte, error) {
	return c.value(Request{Command: Get, Key: key})
}

func (c *Client) value(r Request) ([]byte, error) {
	if err := c.status(r); err != nil {
		return nil, err
	}
	return c.readSized()
}

// Record is what MGet returns of a key.
type Record struct {
	Key, Value []byte
}

// MGet returns the records that exist, in the order of their keys here.
func (c *Client) MGet(keys [][]byte) ([]Record, error) {
	var records []Record
	err := c.readList(Request{Command: MGet, Args: keys}, func(budget *int) error {
		keySize, err := c.readUint32()
		if err != nil {
			return err
		}
		size, err := c.readUint32()
		if err != nil {
			return err
		}
		if err := c.spend(budget, elementCost+int64(keySize)+int64(size)); err != nil {
			return err
		}
		b, err := c.readBytes(nil, int(keySize)+int(size))
		if err != nil {
			return err
		}
		records = append(records, Record{b[:keySize:keySize], b[keySize:]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// VSiz returns the size of a value, or CodeNoRecord.
func (c *Client) VSiz(key []byte) (uint32, error) {
	if err := c.status(Request{Command: VSiz, Key: key}); err != nil {
		return 0, err
	}
	return c.readUint32()
}

// IterInit begins an iteration over all keys. In the original all connections share it.
func (c *Client) IterInit() error {
	return c.status(Request{Command: IterInit})
}

// IterNext returns the next key, or CodeNoRecord after the last one.
func (c *Client) IterNext() ([]byte, error) {
	return c.value(Request{Command: IterNext})
}

// FwmKeys returns at most limit keys that begin with prefix, all of them with a negative limit.
func (c *Client) FwmKeys(prefix []byte, limit int32) ([][]byte, error) {
	return c.readElements(Request{Command: FwmKeys, Key: prefix, Max: limit})
}

// AddInt adds to an integer record and returns the sum. CodeKeep means that the record is none.
func (c *Client) AddInt(key []byte, num int32) (int32, error) {
	if err := c.status(Request{Command: AddInt, Key: key, Num: num}); err != nil {
		return 0, err
	}
	sum, err := c.readUint32()
	return int32(sum), err
}

// AddDouble adds to a real number record and returns the sum. CodeKeep means that the record is none.
func (c *Client) AddDouble(key []byte, num float64) (float64, error) {
	if err := c.status(Request{Command: AddDouble, Key: key, Double: DoubleOf(num)}); err != nil {
		return 0, err
	}
	integer, err := c.readUint64()
	if err != nil {
		return 0, err
	}
	fraction, err := c.readUint64()
	return Double{int64(integer), int64(fraction)}.Float64(), err
}

// Ext calls a function of the server's script. Options are ExtLockRecord and ExtLockGlobal.
func (c *Client) Ext(name string, options uint32, key, value []byte) ([]byte, error) {
	return c.value(Request{Command: Ext, Name: []byte(name), Options: options, Key: key, Value: value})
}

// Sync makes what was written durable.
func (c *Client) Sync() error { return c.status(Request{Command: Sync}) }

// Optimize reorganizes the database with new parameters, such as bnum=1000.
func (c *Client) Optimize(params string) error {
	return c.status(Request{Command: Optimize, Text: []byte(params)})
}

// Vanish removes all records.
func (c *Client) Vanish() error { return c.status(Request{Command: Vanish}) }

// Copy makes a copy of the database at a path of the server.
func (c *Client) Copy(path string) error {
	return c.status(Request{Command: Copy, Text: []byte(path)})
}

// Restore replays the update log in a folder of the server from a time on, in microseconds since 1970. The option is CheckResults.
func (c *Client) Restore(path string, micros int64, options uint32) error {
	return c.status(Request{Command: Restore, Text: []byte(path), Time: micros, Options: options})
}

// SetMst makes the server a slave of host, from a time on in microseconds since 1970; with 0 it goes on where it was. An
// empty host ends it. The option is CheckResults.
func (c *Client) SetMst(host string, port int32, micros int64, options uint32) error {
	return c.status(Request{Command: SetMst, Text: []byte(host), Port: port, Time: micros, Options: options})
}

// RNum returns the number of records.
func (c *Client) RNum() (uint64, error) { return c.count(RNum) }

// Size returns the size of the database in bytes.
func (c *Client) Size() (uint64, error) { return c.count(Size) }

func (c *Client) count(command Command) (uint64, error) {
	if err := c.ask(Request{Command: command}); err != nil {
		return 0, err
	}
	ok, err := c.readStatus()
	if err != nil {
		return 0, err
	}
	n, err := c.readUint64()
	if err == nil && !ok {
		err = c.refused()
	}
	return n, err
}

// Stat returns the status of the server: lines of a name, a TAB and a value.
func (c *Client) Stat() ([]byte, error) {
	if err := c.ask(Request{Command: Stat}); err != nil {
		return nil, err
	}
	ok, err := c.readStatus()
	if err != nil {
		return nil, err
	}
	text, err := c.readSized()
	if err == nil && !ok {
		err = c.refused()
	}
	return text, err
}

// Misc calls a function of the database. The option is MiscNoLog.
func (c *Client) Misc(name string, options uint32, args ...[]byte) ([][]byte, error) {
	return c.readElements(Request{Command: Misc, Name: []byte(name), Options: options, Args: args})
}
