//go:build !linux

package main

import "io/fs"

// deviceAndInode names no file: there is no systemd here.
func deviceAndInode(fs.FileInfo) string { return "" }
