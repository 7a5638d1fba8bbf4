// Package testenv starts the real servers that tests need: PostgreSQL and Redis.
// A server that is not installed fails the test: `make deps` installs it.
package testenv
