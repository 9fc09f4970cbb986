package front

import (
	"fmt"
	"time"

	"github.com/futago/futago/internal/addr"
)

// AdminOn says whether the setting of the operators' address asks for a listener.
func AdminOn(adminListen string) bool { return adminListen != "" && adminListen != "none" }

// ListenProblems returns what is wrong with the addresses for clients and for operators.
func ListenProblems(listen, adminListen string) (errs []error) {
	if _, _, err := addr.Split(listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	if AdminOn(adminListen) {
		if _, _, err := addr.Split(adminListen); err != nil {
			errs = append(errs, fmt.Errorf("admin listen: %w", err))
		}
	}
	return errs
}

// InRange returns nil when low <= v <= high, else an error with the name of the setting.
func InRange[T time.Duration | int](name string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%s %v: want %v to %v", name, v, low, high)
	}
	return nil
}
