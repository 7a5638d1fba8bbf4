package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/open-tollgate/tollgate/caddymodules/ratelimit"
	"github.com/open-tollgate/tollgate/internal/printable"
)

// adminVariable is where the shipped Caddyfile finds the admin address as well.
const adminVariable = "TOLLGATE_ADMIN"

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "limits",
		Usage: "list | show --zone NAME [--api NAME] VALUE... | reset --zone NAME [--api NAME] VALUE... [--address ADDR]",
		Short: "Shows rate limits of a running edge, and where a caller stands",
		Long: `
list shows the zones of the edge that runs, and what they have decided since it started.
show says where one caller stands in a zone: used, left, and what this node has on
lease. reset forgets what is counted for it, on all nodes within a second.

The VALUEs are those of the placeholders in the zone's key, in their order; none for a
zone that counts all callers together. The edge is asked through its admin API: at
--address, or the environment variable ` + adminVariable + `, or localhost:2019.`,
		Flags: limitsFlags(),
		Func:  runLimits,
	})
}

func limitsFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("limits", flag.ContinueOnError)
	flags.String("address", "", "Address of the edge's admin API; "+adminVariable+" if left out")
	flags.String("zone", "", "Name of the zone")
	flags.String("api", "", "Name of the API, where several have a zone of that name")
	return flags
}

func runLimits(flags caddycmd.Flags) (int, error) {
	if err := limits(flags, os.Stdout); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

func limits(flags caddycmd.Flags, out io.Writer) error {
	address := flags.String("address")
	if address == "" {
		address = os.Getenv(adminVariable)
	}
	if address == "" {
		address = caddy.DefaultAdminListen
	}
	switch action := flags.Arg(0); action {
	case "list":
		return listLimits(address, out)
	case "show", "reset":
		return subjectLimits(address, action, flags, out)
	default:
		return errors.New("limits: want list, show or reset")
	}
}

func listLimits(address string, out io.Writer) error {
	var status ratelimit.Status
	if err := ask(address, http.MethodGet, "/rate_limits/", nil, &status); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d nodes, %d questions to Redis, %d of them failed", status.Nodes, status.RoundTrips, status.Failures)
	if status.Degraded {
		fmt.Fprint(out, "; LIMITS ARE KEPT WITHOUT REDIS")
	}
	fmt.Fprint(out, "\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "API\tZONE\tKIND\tPOLICY\tKEY\tALLOWED\tDENIED\tSHADOWED\tLEASED\tROUND TRIPS\tDEGRADED\tGIVEN BACK\tKEYS")
	for _, z := range status.Zones {
		kind := z.Kind
		if z.Shadow {
			kind += ", shadow"
		}
		printable.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", z.API, z.Zone, kind, z.Policy, z.Key,
			z.Allowed, z.Denied, z.Shadowed, z.Leased, z.RoundTrips, z.Degraded, z.GivenBack, z.Keys)
	}
	return w.Flush()
}

func subjectLimits(address, action string, flags caddycmd.Flags, out io.Writer) error {
	who := ratelimit.Subject{Zone: flags.String("zone"), Values: flags.Args()[1:]}
	if who.Zone == "" {
		return fmt.Errorf("limits %s: --zone is needed", action)
	}
	if api := flags.String("api"); api != "" {
		who.API = &api
	}
	var found []ratelimit.SubjectStatus
	if err := ask(address, http.MethodPost, "/rate_limits/"+action, who, &found); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "API\tZONE\tPOLICY\tUSED\tREMAINING\tNEXT UNIT IN\tON LEASE HERE\tCALLER IN THE LOG")
	for _, s := range found {
		printable.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%.3fs\t%d\t%s\n", s.API, s.Zone, s.Policy, s.Used, s.Remaining, s.Wait, s.Held, s.Caller)
	}
	return w.Flush()
}

// ask speaks with the admin API. Its errors are sentences already.
func ask(address, method, path string, body, into any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	response, err := caddycmd.AdminAPIRequest(address, method, path, http.Header{"Content-Type": {"application/json"}}, content)
	if err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return json.NewDecoder(response.Body).Decode(into)
}
