//go:build !unix

package token

// giveTo does nothing where files have no owner of this kind.
func giveTo(string, ...string) error { return nil }
