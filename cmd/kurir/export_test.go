package main

import "runtime"

// Main is the program, for tests that run it as its users do: no memory is
// profiled, as in a program that no test is linked into.
func Main() {
	runtime.MemProfileRate = 0
	main()
}
