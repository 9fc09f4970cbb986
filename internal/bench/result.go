package bench

import (
	"fmt"
	"io"
	"time"
)

// Result is what one run measured. Times are in microseconds.
type Result struct {
	Config Config `json:"config"`
	// Begun is when the measured window began.
	Begun   time.Time `json:"begun"`
	Seconds float64   `json:"seconds"`
	// CutShort says that Config.Stop ended the window before Config.Duration.
	CutShort bool `json:"cut_short,omitempty"`
	// Requests answered in the window, and how many of them with an error. Misses counts keys that a
	// get or an increment did not find.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	Misses   uint64 `json:"misses"`
	// FirstError is the first error reply.
	FirstError   string  `json:"first_error,omitempty"`
	OpsPerSecond float64 `json:"ops_per_second"`
	MeanMicros   float64 `json:"mean_us"`
	P50Micros    float64 `json:"p50_us"`
	P99Micros    float64 `json:"p99_us"`
	P999Micros   float64 `json:"p999_us"`
	MaxMicros    float64 `json:"max_us"`
	// Late counts paced requests that were due and not sent when the window ended: the server, or this
	// program, is slower than the rate.
	Late uint64 `json:"late"`
	// ServerCPUMicros is the processor time of the server process for each request, 0 without a process id.
	// Loopback work runs in the sender's context, so it includes delivering the reply.
	ServerCPUMicros float64 `json:"server_cpu_us"`
	// BehindCPUMicros is the part of ServerCPUMicros that is not of the server which the load goes to, but of those behind it; 0 where
	// that is not counted.
	BehindCPUMicros float64 `json:"behind_cpu_us,omitempty"`
	// LoadCores is the processors that load threads used: near their number, the load is the limit.
	LoadCores float64 `json:"load_cores"`
	// OtherCores is the processors that neither server nor load used: other work on the machine disturbs.
	// Without a process id the server counts as other work.
	OtherCores float64 `json:"other_cores"`
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Write prints the result for people.
func (r *Result) Write(w io.Writer) error {
	c := &r.Config
	loop := "closed loop"
	if c.Rate > 0 {
		loop = fmt.Sprintf("%.0f requests/s due", c.Rate)
	}
	kinds := fmt.Sprintf("%.0f%% gets of %d", 100*c.GetRatio, c.MultiGet)
	if c.IncrRatio > 0 {
		kinds += fmt.Sprintf(", %.0f%% increments", 100*c.IncrRatio)
	}
	if c.Zipf > 0 {
		kinds += fmt.Sprintf(", Zipf %g", c.Zipf)
	}
	text := fmt.Sprintf("%s at %s: %d connections, pipeline %d, %s, %s, %.1f s\n",
		c.Protocol, c.Address, c.Connections, c.Pipeline, kinds, loop, r.Seconds)
	if r.CutShort {
		text += fmt.Sprintf("cut short: %v were to be measured\n", c.Duration)
	}
	text += fmt.Sprintf("%12.0f requests/s\n", r.OpsPerSecond)
	text += fmt.Sprintf("%12.0f us p50 %12.0f us p99 %12.0f us p99.9 %12.0f us max\n",
		r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
	if c.ServerPID != 0 {
		text += fmt.Sprintf("%12.2f us server CPU for each request\n", r.ServerCPUMicros)
	}
	text += fmt.Sprintf("%12.2f cores used by the load, %.2f by others\n", r.LoadCores, r.OtherCores)
	text += fmt.Sprintf("%12d errors %9d misses %11d late\n", r.Errors, r.Misses, r.Late)
	if r.FirstError != "" {
		text += fmt.Sprintf("first error reply: %s\n", r.FirstError)
	}
	_, err := io.WriteString(w, text)
	return err
}
