package main

import (
	"flag"
	"fmt"
	"runtime/debug"
)

// prepareVersion is "kurir version".
func prepareVersion(*flag.FlagSet) action {
	return func(_ []string, std streams) int {
		fmt.Fprintln(std.out, "kurir", version())
		return exitOK
	}
}

// release is the version of a release, which the linker puts here.
var release string

// version is that of the release, or what the build recorded: a tag, or the
// commit.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
