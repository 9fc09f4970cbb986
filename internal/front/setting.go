package front

import (
	"fmt"
	"time"
)

// AdminOn says whether the setting of the operators' address asks for a listener.
func AdminOn(adminListen string) bool { return adminListen != "" && adminListen != "none" }

// InRange returns nil when low <= v <= high, else an error with the name of the setting.
func InRange[T time.Duration | int](name string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%s %v: want %v to %v", name, v, low, high)
	}
	return nil
}
