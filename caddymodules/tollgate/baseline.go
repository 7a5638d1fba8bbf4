package tollgate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// checkBaseline refuses the first configuration of a process where reload_guard has a
// baseline, and the policy is another one: a restart is not to load what a reload could not.
func (a *App) checkBaseline() error {
	if newest.Load() != nil || a.world != nil { // what runs is what a reload is held to
		return nil
	}
	return a.startsAgain()
}

// startsAgain says why a process would not start with this configuration.
func (a *App) startsAgain() error {
	guard := a.ReloadGuard
	if !guard.on() || guard.Baseline == "" {
		return nil
	}
	if a.policy.err != nil {
		return fmt.Errorf("reload_guard: baseline: the policy could not be read: %w", a.policy.err)
	}
	hash, err := readBaseline(guard.Baseline)
	if err != nil {
		return fmt.Errorf("reload_guard: baseline %s: %w", guard.Baseline, err)
	}
	if hash == a.policy.hash || slices.Contains(guard.Allow, a.policy.hash) {
		return nil
	}
	return fmt.Errorf("reload_guard: the policy is %s, and %s is what baseline %s lets a process start with", a.policy.hash, hash, guard.Baseline)
}

// maxBaseline bounds what is read of the file.
const maxBaseline = 1 << 10

// readBaseline reads a hash, or the first line of what "tollgate policy report" prints.
func readBaseline(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would hold up the start, or the reload, until somebody writes into it
		return "", errors.New("is not a file")
	}
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxBaseline))
	if err != nil {
		return "", err
	}
	hash := strings.TrimSpace(strings.TrimPrefix(string(content), "Policy "))
	if !isHash(hash) {
		return "", errors.New("is not the hash of a policy, 32 hexadecimal digits")
	}
	return hash, nil
}
