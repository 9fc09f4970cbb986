package users

import "github.com/prometheus/client_golang/prometheus"

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("futago_users_"+name, help, nil, nil)
}

var (
	failedDesc  = desc("failed_logins_total", "Logins with a wrong name, password or token, by any protocol.")
	limitedDesc = desc("limited_logins_total", "Logins that were not looked at: too many from that host had failed.")
)

// Describe is prometheus.Collector's.
func (u *Users) Describe(ch chan<- *prometheus.Desc) { Sum{u}.Describe(ch) }

// Collect is prometheus.Collector's.
func (u *Users) Collect(ch chan<- prometheus.Metric) { Sum{u}.Collect(ch) }

// Sum has the metrics of several files of users together.
type Sum []*Users

// Describe is prometheus.Collector's.
func (s Sum) Describe(ch chan<- *prometheus.Desc) {
	ch <- failedDesc
	ch <- limitedDesc
}

// Collect is prometheus.Collector's.
func (s Sum) Collect(ch chan<- prometheus.Metric) {
	var failures, limited uint64
	for _, u := range s {
		failures += u.failures.Load()
		limited += u.limited.Load()
	}
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(failures))
	ch <- prometheus.MustNewConstMetric(limitedDesc, prometheus.CounterValue, float64(limited))
}
