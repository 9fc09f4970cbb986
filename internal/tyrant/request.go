package tyrant

// Request is one decoded request, or one to append. It is reused from call to call: Decode overwrites all of it. Key, Value, Name,
// Text and the elements of Args alias the bytes given to Decode and are valid until the caller drops or changes those
// bytes. Fields that the command does not have are zero.
type Request struct {
	Command Command
	// TooLarge says that a part is over its limit, or a list as a whole. The parts are empty, and what still comes of them is
	// swallowed: answer with the failure of the command, and do nothing else.
	TooLarge bool
	// Close asks for the end of the connection without a reply, after all earlier ones are sent: the bytes are no request, or
	// none that the original answers.
	Close bool

	// Key is that of put, putkeep, putcat, putshl, putnr, out, get, vsiz, addint, adddouble and ext, and the prefix of fwmkeys. It
	// may be empty.
	Key []byte
	// Value is what the puts store, and the value given to ext.
	Value []byte
	// Name is the function of ext and misc.
	Name []byte
	// Text is the parameters of optimize, the path of copy and restore, or the host of setmst.
	Text []byte
	// Args are the keys of mget or the arguments of misc.
	Args [][]byte

	Width int32 // bytes, putshl; never negative
	Num   int32 // addint
	Max   int32 // keys at fieldMax, fwmkeys; negative = all
	Port  int32 // setmst; never negative
	// Double is the summand of adddouble, as it was on the wire.
	Double Double
	// Options are those of ext, misc, restore and setmst.
	Options uint32
	// Time is in microseconds since 1970: where restore, setmst and repl begin. That of repl is at least 1.
	Time int64
	// SID is the server id of the one who asks for repl, 1..2^31-1. In a log it has 16 bits.
	SID uint32
}

// keptArgs is how many elements of Args a Request keeps the memory for.
const keptArgs = 4096

func (r *Request) reset() {
	args := r.Args
	if cap(args) > keptArgs {
		args = nil
	}
	clear(args)
	*r = Request{Args: args[:0]}
}

// refuse leaves nothing but the command.
func (r *Request) refuse() {
	c := r.Command
	r.reset()
	r.Command, r.TooLarge = c, true
}

// part is where the part of this size goes.
func (r *Request) part(f field) *[]byte {
	switch f {
	case fieldKey:
		return &r.Key
	case fieldValue:
		return &r.Value
	case fieldName:
		return &r.Name
	case fieldText:
		return &r.Text
	}
	return nil
}
