package redisclient

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url     string
		cluster bool
	}{
		{"redis://127.0.0.1:6379/1", false},
		{"rediss://user:password@redis.test", false},
		{"unix:///run/redis.sock", false},
		{"redis://127.0.0.1:26379?master_name=main&addr=127.0.0.2:26379", false},
		{"redis://127.0.0.1:7000?addr=127.0.0.1:7001", true},
		{"redis://127.0.0.1:7000?cluster=true&min_idle_conns=9", true},
	}
	for _, test := range tests {
		construct, err := Parse(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		client := construct()
		if _, cluster := client.(*redis.ClusterClient); cluster != test.cluster {
			t.Errorf("%s: %T", test.url, client)
		}
		if err := client.Close(); err != nil {
			t.Errorf("%s: %v", test.url, err)
		}
	}
}

func TestParseRefusesWithoutRepeating(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "localhost:6379", "http://user:canary@redis.test", "redis://user:canary@redis.test:port",
		"redis://user:canary@redis.test?unknown=1", "redis://user:canary@redis.test/x?cluster=true&y=1", "redis://:canary@[::1",
		"redis://user:canary@redis.test?master_name=m&unknown=1",
	} {
		_, err := Parse(url)
		if err == nil {
			t.Errorf("%q is fine", url)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
