package ratelimit

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"

	_ "github.com/open-tollgate/tollgate/caddymodules/api"
)

// update writes the fixtures anew.
var update = flag.Bool("update", false, "write the JSON of the fixtures anew")

func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// TestFixtures adapts the Caddyfiles of testdata: the Caddyfile, a line of dashes,
// the JSON of its routes.
func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, _ := strings.Cut(string(text), "----------\n")
			config, err := adapt(caddyfile)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, routesOf(t, config), "", "\t"); err != nil {
				t.Fatal(err)
			}
			if *update {
				text := strings.TrimSpace(caddyfile) + "\n----------\n" + got.String() + "\n"
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if strings.TrimSpace(got.String()) != strings.TrimSpace(want) {
				t.Errorf("got\n%s", got.String())
			}
		})
	}
}

// routesOf gives the routes of the only server.
func routesOf(t *testing.T, config []byte) json.RawMessage {
	t.Helper()
	var doc struct {
		Apps struct {
			HTTP struct {
				Servers struct {
					Srv0 struct {
						Routes json.RawMessage `json:"routes"`
					} `json:"srv0"`
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Apps.HTTP.Servers.Srv0.Routes
}

// TestMistakes: every mistake names the file and the line, the directive and the value.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const good = "key a\nevents 1\nwindow 1m\n"
	zone := func(options string) string { return "rate_limit {\nzone z {\n" + options + "}\n}" }
	for name, tt := range map[string]struct {
		directive string
		line      string // of a site that starts on line 1
		want      string
	}{
		"argument":          {"rate_limit 5 {\nzone z {\n" + good + "}\n}", ":2", `not "5"`},
		"no zone":           {"rate_limit", ":2", "at least one zone"},
		"empty block":       {"rate_limit {\n}", ":2", "at least one zone"},
		"unknown option":    {"rate_limit {\nzome z\n}", ":3", `unknown option "zome"`},
		"unnamed zone":      {"rate_limit {\nzone {\n" + good + "}\n}", ":3", "zone takes one name"},
		"two names":         {"rate_limit {\nzone a b {\n" + good + "}\n}", ":3", "zone takes one name"},
		"bad name":          {"rate_limit {\nzone `a\"b` {\n" + good + "}\n}", ":3", `zone "a\"b"`},
		"zone twice":        {"rate_limit {\nzone z {\n" + good + "}\nzone z {\n" + good + "}\n}", ":8", `zone "z" is there twice`},
		"no key":            {zone("events 1\nwindow 1m\n"), ":3", `zone "z": key is missing`},
		"no events":         {zone("key a\nwindow 1m\n"), ":3", `zone "z": events is missing`},
		"no window":         {zone("key a\nevents 1\n"), ":3", `zone "z": window is missing`},
		"key without":       {zone("key\n"), ":4", "key takes one value"},
		"open key":          {zone("key \"{a\"\nevents 1\nwindow 1m\n"), ":3", `key "{a"`},
		"zero events":       {zone("events 0\n"), ":4", `events "0"`},
		"negative events":   {zone("events -3\n"), ":4", `events "-3"`},
		"broken events":     {zone("key a\nevents 1.5\n"), ":5", `events "1.5"`},
		"bad window":        {zone("key a\nevents 1\nwindow soon\n"), ":6", `window "soon"`},
		"short window":      {zone("window 1ms\n"), ":4", `window "1ms"`},
		"long window":       {zone("window 367d\n"), ":4", `window "367d"`},
		"two windows":       {zone("window 1m 2m\n"), ":4", "window takes one value"},
		"option twice":      {zone("events 1\nevents 2\n"), ":5", "events is there twice"},
		"empty_key":         {zone("empty_key maybe\n"), ":4", `empty_key "maybe"`},
		"ipv4_prefix":       {zone("ipv4_prefix 33\n"), ":4", `ipv4_prefix "33": want 1 to 32`},
		"no ipv6_prefix":    {zone("ipv6_prefix 0\n"), ":4", `ipv6_prefix "0": want 1 to 128`},
		"bad ipv6_prefix":   {zone("key a\nipv6_prefix /64\n"), ":5", `ipv6_prefix "/64"`},
		"unknown in zone":   {zone(good + "brust 5\n"), ":7", `unknown option "brust"`},
		"burst of sliding":  {zone(good + "burst 5\n"), ":3", "burst 5: is for kind gcra"},
		"bad kind":          {zone("kind leaky\n"), ":4", `kind "leaky": want sliding, calendar, gcra or concurrency`},
		"calendar window":   {zone(good + "kind calendar\nperiod day\n"), ":3", "a zone of kind calendar has none"},
		"no period":         {zone("key a\nevents 1\nkind calendar\n"), ":3", "period is missing"},
		"bad period":        {zone("period week\n"), ":4", `period "week": want day or month`},
		"period of sliding": {zone(good + "period day\n"), ":3", `period "day": is for kind calendar`},
		"bad burst":         {zone("burst 0\n"), ":4", `burst "0"`},
		"bad on_failure":    {zone("on_failure panic\n"), ":4", `on_failure "panic": want share, closed or open`},
		"shadow yes":        {zone("shadow yes\n"), ":4", "shadow takes no value"},
		"no cost":           {zone("cost\n"), ":4", "cost takes"},
		"bad cost":          {zone("cost much\n"), ":4", `cost "much"`},
		"cost of nothing":   {zone("cost 0\n"), ":4", `cost "0"`},
		"too much cost":     {zone(good + "cost 2\n"), ":3", "cost 2: is more than the zone ever holds, 1"},
		"bad default":       {zone("cost {query.n} few\n"), ":4", `cost "few"`},
		"cost of three":     {zone("cost {query.n} 1 2\n"), ":4", `cost "2"`},
		"cost response":     {zone("cost response\n"), ":4", "cost response: want the field"},
		"bad field":         {zone("cost response a:b\n"), ":4", `cost response "a:b"`},
		"reserve":           {zone("cost response X-Cost {query.n}\n"), ":4", `what is reserved for a response is a number`},
		"bad headers":       {"rate_limit {\nheaders some\n}", ":3", `headers "some": want on, off or legacy`},
		"headers twice":     {"rate_limit {\nheaders on\nheaders off\n}", ":4", "headers is there twice"},
		"bad jitter":        {"rate_limit {\njitter 20%\n}", ":3", `jitter "20%": want a fraction from 0 to 1`},
		"much jitter":       {"rate_limit {\njitter 2\n}", ":3", `jitter "2"`},
		"no jitter":         {"rate_limit {\njitter NaN\n}", ":3", `jitter "NaN"`},
		"bad sweep":         {"rate_limit {\nsweep_interval often\n}", ":3", `sweep_interval "often"`},
		"bad interval":      {"rate_limit {\ndistributed {\nread_interval often\n}\n}", ":4", `read_interval "often"`},
		"unknown interval":  {"rate_limit {\ndistributed {\nsync 1s\n}\n}", ":4", `distributed: unknown option "sync"`},
		"no matcher":        {zone("match {\n}\n"), ":4", "match is empty"},
		"bad matcher":       {zone("match {\nmood good\n}\n"), ":4", "mood"},
		"distributed":       {"rate_limit {\ndistributed\nzone z {\n" + good + "}\n}", ":3", "redis <url>"},
		"storage":           {"rate_limit {\nstorage file_system /x\n}", ":3", "redis <url>"},
		"log_key":           {"rate_limit {\nlog_key\n}", ":3", "never logged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := adapt(":80 {\n" + tt.directive + "\n}\n")
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range []string{"Caddyfile" + tt.line, "rate_limit", tt.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// TestCommunityJSON loads what was written for the community's module as it is.
func TestCommunityJSON(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := provision(caddy.ModuleMap{"tollgate": json.RawMessage(`{"redis":"redis://127.0.0.1:1"}`)}, "http.handlers.rate_limit", string(text))
			if err != nil {
				t.Fatal(err)
			}
			s.stop()
		})
	}
}
