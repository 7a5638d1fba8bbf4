//go:build !linux

package main

import "syscall"

// childAttributes keeps a child out of the terminal's process group, so that
// Ctrl-C reaches demo alone and it can stop them in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
