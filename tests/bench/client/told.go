package main

import (
	"math"
	"slices"

	"google.golang.org/grpc/status"
)

// Each step of the histogram is a tenth longer than the one before it, from a microsecond on.
const growth = 1.1

// told has calls' lengths in microseconds; the failed ones are in it.
type told struct {
	Calls   int            `json:"calls"`
	Failed  int            `json:"failed"`
	Errors  map[string]int `json:"errors"`
	Error   string         `json:"error"`
	Seconds float64        `json:"seconds"`
	P50     float64        `json:"p50"`
	P90     float64        `json:"p90"`
	P99     float64        `json:"p99"`
	Slowest float64        `json:"slowest"`
	// How many calls had a length in each step, from the first step that has one.
	First     int   `json:"first"`
	Histogram []int `json:"histogram"`
}

// heard is what one caller collects.
type heard struct {
	micros []float64
	errors map[string]int
	last   error
}

func (h *heard) add(micros float64, err error) {
	h.micros = append(h.micros, micros)
	if err == nil {
		return
	}
	if h.errors == nil {
		h.errors = map[string]int{}
	}
	h.errors[status.Code(err).String()]++
	h.last = err
}

func tell(callers []heard, seconds float64) told {
	all := told{Seconds: seconds, Errors: map[string]int{}, Histogram: []int{}}
	var micros []float64
	for _, each := range callers {
		micros = append(micros, each.micros...)
		for code, count := range each.errors {
			all.Errors[code] += count
			all.Failed += count
		}
		if each.last != nil {
			all.Error = each.last.Error()
		}
	}
	all.Calls = len(micros)
	if all.Calls == 0 {
		return all
	}
	slices.Sort(micros)
	all.P50, all.P90, all.P99 = share(micros, 50), share(micros, 90), share(micros, 99)
	all.Slowest = micros[len(micros)-1]
	all.First = step(micros[0])
	all.Histogram = make([]int, step(all.Slowest)-all.First+1)
	for _, each := range micros {
		all.Histogram[step(each)-all.First]++
	}
	return all
}

func share(sorted []float64, percent int) float64 {
	return sorted[len(sorted)*percent/100]
}

func step(micros float64) int {
	return int(math.Log(max(1, micros)) / math.Log(growth))
}
