package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is processor time used, in user and kernel mode together.
type cpuTime = time.Duration

// tick is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// ProcessCPU returns the processor time that all threads of a process have used, in steps of 10 ms.
func ProcessCPU(pid int) (time.Duration, error) {
	own, _, err := processTimes(pid)
	return own, err
}

// processTimes returns the processor time of a process, and that of its child processes that have ended.
func processTimes(pid int) (own, ended time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		own, ended, err = parseProcessStat(b)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
	}
	return own, ended, nil
}

// parseProcessStat reads utime and stime, the 14th and 15th field of /proc/PID/stat, and cutime and cstime behind them. The
// second field is the program's name in brackets and may itself hold blanks and brackets, so counting starts after the last one.
func parseProcessStat(b []byte) (own, ended time.Duration, err error) {
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const utime = 14 - 3 // the first field here is the third
	if len(fields) < utime+4 {
		return 0, 0, fmt.Errorf("stat line has %d fields after the name", len(fields))
	}
	if own, err = sumTicks(fields[utime : utime+2]); err != nil {
		return 0, 0, err
	}
	if ended, err = sumTicks(fields[utime+2 : utime+4]); err != nil {
		return 0, 0, err
	}
	return own, ended, nil
}

// machineCPU returns the processor time that everything on this machine has used.
func machineCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time of the machine: %w", err)
	}
	d, err := parseMachineStat(b)
	if err != nil {
		return 0, fmt.Errorf("read processor time of the machine: %w", err)
	}
	return d, nil
}

// parseMachineStat reads the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal ...
// Everything but idle and iowait is work; guest time is part of user time already.
func parseMachineStat(b []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("line %.100q is not the sum of all processors", line)
	}
	return sumTicks(append(fields[1:4:4], fields[6:9]...))
}

func sumTicks(fields []string) (time.Duration, error) {
	var sum uint64
	for _, f := range fields {
		n, err := strconv.ParseUint(f, 10, 48)
		if err != nil {
			return 0, fmt.Errorf("field %.30q is not a number of ticks", f)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// threadCPU returns the processor time of the calling thread, which must be locked to its goroutine.
func threadCPU() cpuTime {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return 0 // the kernel refuses only bad arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// childCPU returns the processor time of the child processes of a process, those that have ended and those that run.
func childCPU(pid int) (time.Duration, error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, fmt.Errorf("read the child processes of process %d: %w", pid, err)
	}
	var sum time.Duration
	for _, thread := range threads {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		if hasEnded(err) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read the child processes of process %d: %w", pid, err)
		}
		for _, field := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("read the child processes of process %d: field %.30q is no process id", pid, field)
			}
			used, err := ProcessCPU(child)
			if err != nil && !hasEnded(err) {
				return 0, err
			}
			sum += used
		}
	}
	// Last: what ended meanwhile is in here.
	_, ended, err := processTimes(pid)
	return sum + ended, err
}

// hasEnded tells the errors of a process or thread that ran a moment ago.
func hasEnded(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// sumCPU returns the processor time of processes that run.
func sumCPU(pids []int) (sum cpuTime, err error) {
	for _, pid := range pids {
		used, err := ProcessCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// watchOthers begins to watch the processors that are used by others than this process and the servers, whose
// processor time servers returns. The function that it returns ends it.
func watchOthers(servers func() (cpuTime, error)) (cores func() (float64, error), err error) {
	sample := func() (at time.Time, others cpuTime, err error) {
		at = time.Now()
		machine, err := machineCPU()
		if err != nil {
			return at, 0, err
		}
		ours, err := servers()
		if err != nil {
			return at, 0, err
		}
		self, err := ProcessCPU(os.Getpid())
		return at, machine - ours - self, err
	}
	from, before, err := sample()
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		to, after, err := sample()
		if err != nil {
			return 0, err
		}
		// Ticks of 10 ms may make the sum of the parts larger than the whole.
		return max(0, (after-before).Seconds()/to.Sub(from).Seconds()), nil
	}, nil
}

// pin lets the calling thread, which must be locked to its goroutine, run on these processors only.
func pin(cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin load thread to processors %v: %w", cpus, err)
	}
	return nil
}
