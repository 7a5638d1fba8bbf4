//go:build !fault

package fault

// At does nothing in this build.
func At(string) {}
