package script

import "syscall"

func statTimes(st *syscall.Stat_t, number func(name string, n float64)) {
	number("atime", float64(st.Atim.Sec))
	number("ctime", float64(st.Ctim.Sec))
}
