package main

import (
	"io/fs"
	"strconv"
	"syscall"
)

// deviceAndInode names a file as JOURNAL_STREAM does.
func deviceAndInode(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(stat.Dev), 10) + ":" + strconv.FormatUint(stat.Ino, 10)
}
