package main

import "fmt"

// atLeast is the result of a ratio that must reach aim.
func atLeast(ours, base string, ratio, aim float64) result {
	return result{ours, base, fmt.Sprintf("%.2f", ratio), ratio >= aim}
}

// atMost is the result of a ratio that must not exceed aim.
func atMost(ours, base string, ratio, aim float64) result {
	return result{ours, base, fmt.Sprintf("%.2f×", ratio), ratio <= aim}
}
