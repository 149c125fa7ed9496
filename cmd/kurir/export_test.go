package main

// Main is the program, for tests that run it as its users do.
var Main = main
