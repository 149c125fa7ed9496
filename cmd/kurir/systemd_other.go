//go:build !linux

package main

import "io/fs"

// deviceAndInode names no file: there is no systemd here.
func deviceAndInode(fs.FileInfo) string { return "" }

// reloading tells a service manager that a reload began; the one that wants to
// know when runs on Linux only.
func reloading() string { return "RELOADING=1" }
