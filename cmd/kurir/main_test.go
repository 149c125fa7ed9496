package main_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	kurir "kurir/cmd/kurir"
)

// While the tests run, "kurir" in $PATH is the program as it was built for
// them, so that it can be killed, its other names are it too, and "oddserver" a server that is no SMTP
// server. No other process is needed on a machine with Go alone.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"kurir":      kurir.Main,
		"sendmail":   kurir.Main,
		"mailq":      kurir.Main,
		"newaliases": kurir.Main,
		"oddserver":  oddServer,
	})
}

// leakless fails when tests leave goroutines behind.
type leakless struct{ *testing.M }

func (m leakless) Run() int {
	code := m.M.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}
