package config

// OnMachine makes Load look for the system's places below other paths, as an
// ordinary user or not.
func (o Options) OnMachine(config, stateDir string, superuser bool) Options {
	o.system = &system{config, stateDir, superuser}
	return o
}

// LinesOf returns where the keys of a TOML file stand.
func LinesOf(src string) map[string]int { return outlineOf(src).lines }

// ParseSize reads a size as a file has it.
var ParseSize = parseSize
