package tyrant

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestCode(t *testing.T) {
	texts := map[string]Code{}
	for _, c := range []Code{CodeSuccess, CodeInvalid, CodeNoHost, CodeRefused, CodeSend, CodeRecv, CodeKeep, CodeNoRecord, CodeMisc, 8} {
		if other, ok := texts[c.Error()]; ok {
			t.Errorf("codes %d and %d are both called %s", other, c, c)
		}
		texts[c.Error()] = c
	}
	for text, want := range map[string]Code{"success": 0, "recv error": 5, "no record found": 7, "miscellaneous error": 9999, "error 8": 8} {
		if got, ok := texts[text]; !ok || got != want {
			t.Errorf("%s: got code %d, want %d", text, got, want)
		}
	}
}

func TestError(t *testing.T) {
	refused := &Error{"get", CodeNoRecord, nil}
	lost := fmt.Errorf("read it: %w", &Error{"put", CodeRecv, io.ErrUnexpectedEOF})
	tests := []struct {
		err  error
		code Code
		text string
		is   error
	}{
		{nil, CodeSuccess, "", nil},
		{refused, CodeNoRecord, "get: no record found", CodeNoRecord},
		{lost, CodeRecv, "read it: put: recv error: unexpected EOF", CodeRecv},
		{lost, CodeRecv, "read it: put: recv error: unexpected EOF", io.ErrUnexpectedEOF},
		{io.EOF, CodeMisc, "EOF", io.EOF},
	}
	for _, tt := range tests {
		if got := CodeOf(tt.err); got != tt.code {
			t.Errorf("CodeOf(%v): got %d, want %d", tt.err, got, tt.code)
		}
		if tt.err != nil && tt.err.Error() != tt.text {
			t.Errorf("got %q, want %q", tt.err, tt.text)
		}
		if !errors.Is(tt.err, tt.is) || errors.Is(tt.err, CodeKeep) {
			t.Errorf("%v must be %v, and not %v", tt.err, tt.is, CodeKeep)
		}
	}
}
