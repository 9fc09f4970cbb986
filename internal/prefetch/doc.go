// Package prefetch asks the processor for memory ahead of its use, so that several waits for memory overlap. Go has no function for it.
package prefetch
