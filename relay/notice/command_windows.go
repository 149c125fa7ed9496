package notice

import "os/exec"

// killWhole leaves it at the command itself, which exec kills: what it started
// goes on.
func killWhole(*exec.Cmd) {}
