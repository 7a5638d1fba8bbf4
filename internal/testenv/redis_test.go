package testenv

import "testing"

func TestRedisServer(t *testing.T) {
	t.Parallel()
	server := NewRedisServer(t)
	if !answersPing(server.Addr()) {
		t.Fatal("no answer after the start")
	}
	server.Kill()
	if answersPing(server.Addr()) {
		t.Fatal("an answer after the kill")
	}
	server.Restart()
	if !answersPing(server.Addr()) {
		t.Fatal("no answer after the restart")
	}
	server.Pause()
	if answersPing(server.Addr()) {
		t.Fatal("an answer while paused")
	}
	server.Resume()
	if !answersPing(server.Addr()) {
		t.Fatal("no answer after the pause")
	}
}
