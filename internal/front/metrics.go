package front

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Register puts the metrics of a front into the registry that its /metrics shows, which it returns, and into the caller's.
// They are one when the caller's is also a Gatherer, as *prometheus.Registry is; nil is none.
func Register(caller prometheus.Registerer, metrics ...prometheus.Collector) (prometheus.Gatherer, error) {
	var registerers []prometheus.Registerer
	shown, ok := caller.(prometheus.Gatherer)
	if !ok {
		registry := prometheus.NewRegistry()
		shown = registry
		registerers = append(registerers, registry)
	}
	if caller != nil {
		registerers = append(registerers, caller)
	}
	for _, r := range registerers {
		for _, m := range metrics {
			if err := r.Register(m); err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	return shown, nil
}
