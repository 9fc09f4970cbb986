//go:build e2e

package e2e

import (
	"fmt"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// linearInput is a request for one key.
type linearInput struct {
	op    string // get, gets, set, add, append, cas, incr, decr, delete
	key   string
	value string
	delta uint64
	token string // of cas
}

// linearOutput is the reply to it.
type linearOutput struct {
	status string // the reply line; VALUE or MISS of a get, NUMBER of incr and decr, LOST when none came
	value  string // of VALUE and NUMBER
	token  string // of a gets
}

// linearState is what a node holds of one key.
type linearState struct {
	present bool
	value   string
	token   string // CAS unique, empty until a gets has told it
	last    string // the token that was told before that, which must not be told again
}

// write is the state after a write of value: its token is new.
func (s linearState) write(value string) linearState {
	last := s.token
	if last == "" {
		last = s.last
	}
	return linearState{present: true, value: value, last: last}
}

// linearModel is memcached's text protocol for one key. An operation whose reply was lost happened or did not, before the
// process was gone.
var linearModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string]int{}
		var parts [][]porcupine.Operation
		for _, op := range history {
			key := op.Input.(linearInput).key
			i, ok := keys[key]
			if !ok {
				i = len(parts)
				keys[key], parts = i, append(parts, nil)
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() []any { return []any{linearState{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(linearState), input.(linearInput), output.(linearOutput)
		if out.status == "LOST" {
			if after, _ := s.apply(in, linearOutput{}); after != s {
				return []any{s, after}
			}
			return []any{s}
		}
		after, want := s.apply(in, out)
		if out != want {
			return nil
		}
		return []any{after}
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(linearInput), output.(linearOutput)
		text := in.op
		switch in.op {
		case "incr", "decr":
			text += fmt.Sprintf(" %d", in.delta)
		case "cas":
			text += fmt.Sprintf(" %s if %s", in.value, in.token)
		case "set", "add", "append":
			text += " " + in.value
		}
		return fmt.Sprintf("%s -> %s %s %s", text, out.status, out.value, out.token)
	},
	DescribeState: func(state any) string {
		s := state.(linearState)
		if !s.present {
			return "absent"
		}
		return fmt.Sprintf("%s @%s", s.value, s.token)
	},
}).ToModel()

// apply executes a request on the state and returns the state and the only right reply. Which token a gets tells is the
// node's choice as long as nobody knows it, so that comes from the reply.
func (s linearState) apply(in linearInput, out linearOutput) (linearState, linearOutput) {
	stored, notStored := linearOutput{status: "STORED"}, linearOutput{status: "NOT_STORED"}
	missing := linearOutput{status: "NOT_FOUND"}
	switch in.op {
	case "get", "gets":
		if !s.present {
			return s, linearOutput{status: "MISS"}
		}
		want := linearOutput{status: "VALUE", value: s.value}
		if in.op == "gets" {
			if s.token == "" && out.token != s.last {
				s.token = out.token
			}
			want.token = s.token
		}
		return s, want
	case "set":
		return s.write(in.value), stored
	case "add":
		if s.present {
			return s, notStored
		}
		return s.write(in.value), stored
	case "append":
		if !s.present {
			return s, notStored
		}
		return s.write(s.value + in.value), stored
	case "cas":
		if !s.present {
			return s, missing
		}
		// A token in a request came from a gets; if the present one was never told, it is an older one.
		if s.token == "" || s.token != in.token {
			return s, linearOutput{status: "EXISTS"}
		}
		return s.write(in.value), stored
	case "delete":
		if !s.present {
			return s, missing
		}
		after := s.write("")
		after.present = false
		return after, linearOutput{status: "DELETED"}
	case "incr", "decr":
		if !s.present {
			return s, missing
		}
		n, err := strconv.ParseUint(s.value, 10, 64)
		if err != nil {
			return s, linearOutput{status: "CLIENT_ERROR cannot increment or decrement non-numeric value"}
		}
		if in.op == "incr" {
			n += in.delta
		} else {
			n -= min(n, in.delta)
		}
		value := strconv.FormatUint(n, 10)
		return s.write(value), linearOutput{status: "NUMBER", value: value}
	}
	panic("unknown operation " + in.op)
}
