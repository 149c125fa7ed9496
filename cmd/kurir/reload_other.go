//go:build !linux

package main

// reloading tells a service manager that a reload began; the one that wants to
// know when runs on Linux only.
func reloading() string { return "RELOADING=1" }
