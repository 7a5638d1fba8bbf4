package command

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// filter says which records are meant. Empty fields mean all.
type filter struct {
	kind, api, outcome, reason, answer, requestID string
	client, subject, token, address               string // pseudonyms
	since, until                                  time.Time
}

// record is what a filter and an export look at.
type record struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Node      string    `json:"node"`
	RequestID string    `json:"request_id"`
	Policy    string    `json:"policy"`
	API       string    `json:"api"`
	Rule      string    `json:"rule"`
	Method    string    `json:"method"`
	Client    string    `json:"client"`
	Subject   string    `json:"subject"`
	Token     string    `json:"token"`
	Address   string    `json:"address"`
	Outcome   string    `json:"outcome"`
	Reason    string    `json:"reason"`
	Status    int       `json:"status"`
	Answer    string    `json:"answer"`
	Previous  string    `json:"previous_policy"`
	Detail    string    `json:"detail"`
	Count     uint64    `json:"count"`
	KeptFrom  int64     `json:"kept_from"`
}

func (f filter) matches(text []byte) bool {
	if f == (filter{}) {
		return true
	}
	if !bytes.Contains(text, []byte(f.requestID)) {
		return false
	}
	var r record
	if json.Unmarshal(text, &r) != nil {
		return false
	}
	for _, field := range [][2]string{
		{f.kind, r.Kind}, {f.api, r.API}, {f.outcome, r.Outcome}, {f.reason, r.Reason}, {f.answer, r.Answer}, {f.requestID, r.RequestID},
		{f.client, r.Client}, {f.subject, r.Subject}, {f.token, r.Token}, {f.address, r.Address},
	} {
		if field[0] != "" && field[0] != field[1] {
			return false
		}
	}
	return !r.Time.Before(f.since) && (f.until.IsZero() || r.Time.Before(f.until))
}

// filterFlags adds the flags, and gives what makes a filter of them for a log.
func filterFlags(cmd *cobra.Command) func(dir string) (filter, error) {
	var f filter
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", "", "Records of this kind: "+strings.Join(auditlog.Kinds(), ", "))
	flags.StringVar(&f.api, "api", "", "Decisions of this API")
	flags.StringVar(&f.outcome, "outcome", "", "Records with this outcome: allowed, refused, failed; of changes: widened, narrowed, moved, not_analysed, summary")
	flags.StringVar(&f.reason, "reason", "", "Decisions with this reason")
	flags.StringVar(&f.answer, "answer", "", "Decisions whose answer was left to others, and is not what the record says: "+strings.Join(auditlog.Answers(), ", "))
	flags.StringVar(&f.requestID, "request-id", "", "The decision about this request")
	names := map[string]*string{
		auditlog.ClientPseudonym: &f.client, auditlog.SubjectPseudonym: &f.subject,
		auditlog.TokenPseudonym: &f.token, auditlog.AddressPseudonym: &f.address,
	}
	for kind, value := range names {
		flags.StringVar(value, kind, "", "Decisions about this "+kind+", by its name; needs the log's pseudonym.key")
	}
	since := flags.String("since", "", "Records from this time on (RFC 3339)")
	until := flags.String("until", "", "Records before this time (RFC 3339)")
	return func(dir string) (filter, error) {
		if kinds := auditlog.Kinds(); f.kind != "" && !slices.Contains(kinds, f.kind) {
			return f, fmt.Errorf("audit: --kind %q is not %s", f.kind, strings.Join(kinds, ", "))
		}
		if answers := auditlog.Answers(); f.answer != "" && !slices.Contains(answers, f.answer) {
			return f, fmt.Errorf("audit: --answer %q is not %s", f.answer, strings.Join(answers, ", "))
		}
		for kind, value := range names {
			if *value == "" {
				continue
			}
			var err error
			if *value, err = auditlog.Pseudonym(dir, kind, *value); err != nil {
				return f, fmt.Errorf("audit: --%s: %w", kind, err)
			}
		}
		var err error
		if f.since, err = parseTime("since", *since); err != nil {
			return f, err
		}
		f.until, err = parseTime("until", *until)
		return f, err
	}
}

func parseTime(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("audit: --%s %q is not a time like 2026-11-26T12:00:00Z", name, text)
	}
	return t, nil
}

func tailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail DIR [-n 20] [--follow] [filters]",
		Short: "Prints the newest records, one JSON object a line",
		Args:  cobra.ExactArgs(1),
	}
	count := cmd.Flags().IntP("lines", "n", 20, "How many records")
	follow := cmd.Flags().BoolP("follow", "f", false, "Go on with what is recorded from now on")
	wanted := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := wanted(args[0])
		if err != nil {
			return err
		}
		if *count < 0 {
			return fmt.Errorf("audit tail: --lines %d is no number of records", *count)
		}
		next, err := printTail(cmd.OutOrStdout(), args[0], f, *count)
		for err == nil && *follow {
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(time.Second / 2):
				next, err = printFrom(cmd.OutOrStdout(), args[0], f, next)
			}
		}
		return err
	}
	return cmd
}

// printTail prints the last records that match, and gives the number of the next one.
func printTail(w io.Writer, dir string, f filter, count int) (next int64, err error) {
	var last [][]byte
	err = auditlog.Backwards(dir, func(records func(func(int64, []byte) bool) error) (bool, error) {
		var found [][]byte
		err := records(func(number int64, text []byte) bool {
			next = max(next, number+1)
			if len(last) < count && f.matches(text) {
				if found = append(found, bytes.Clone(text)); len(found) > count-len(last) {
					found = found[1:]
				}
			}
			return true
		})
		last = append(found, last...)
		return len(last) < count, err
	})
	for _, text := range last {
		if _, werr := fmt.Fprintf(w, "%s\n", shown(text)); werr != nil {
			return next, werr
		}
	}
	return next, err
}

// shown is a line as JSON may have it too, with an escape in place of each character that
// could steer a terminal: the folder may be somebody else's, and nothing of it is verified.
func shown(line []byte) []byte {
	plain := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if !bytes.ContainsFunc(line, func(r rune) bool { return !plain(r) }) {
		return line
	}
	var escaped []byte
	for _, r := range string(line) {
		if plain(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
	}
	return escaped
}

func printFrom(w io.Writer, dir string, f filter, from int64) (next int64, err error) {
	next = from
	var werr error
	err = auditlog.Records(dir, from, func(number int64, text []byte) bool {
		next = number + 1
		if f.matches(text) {
			_, werr = fmt.Fprintf(w, "%s\n", shown(text))
		}
		return werr == nil
	})
	if werr != nil {
		return next, werr
	}
	return next, err
}

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export DIR [--format json|csv] [filters]",
		Short: "Prints all records that match, for other programs",
		Args:  cobra.ExactArgs(1),
	}
	format := cmd.Flags().String("format", "json", "json, one object a line, or csv")
	wanted := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := wanted(args[0])
		if err != nil {
			return err
		}
		switch *format {
		case "json":
			_, err = printFrom(cmd.OutOrStdout(), args[0], f, 0)
			return err
		case "csv":
			return exportCSV(cmd.OutOrStdout(), args[0], f)
		default:
			return fmt.Errorf("audit export: --format %q is neither json nor csv", *format)
		}
	}
	return cmd
}

// formula is what a spreadsheet would follow. A keyed hash may begin with a minus, and is none.
var formula = regexp.MustCompile(`^([=+@]|-.*[^\w-])`)

// cell is a text as a table may have it: nothing in it steers a terminal or a spreadsheet.
func cell(text string) string {
	text = string(shown([]byte(text)))
	if formula.MatchString(text) {
		return "'" + text
	}
	return text
}

func exportCSV(w io.Writer, dir string, f filter) error {
	table := csv.NewWriter(w)
	_ = table.Write([]string{ // an error stays and is given by Error
		"number", "time", "kind", "node", "request_id", "policy", "api", "rule", "method",
		"client", "subject", "token", "address", "outcome", "reason", "status", "previous_policy", "detail", "count", "kept_from", "answer",
	})
	err := auditlog.Records(dir, 0, func(number int64, text []byte) bool {
		var r record
		if !f.matches(text) || json.Unmarshal(text, &r) != nil {
			return true
		}
		cells := []string{
			fmt.Sprint(number), r.Time.UTC().Format(time.RFC3339Nano), r.Kind, r.Node, r.RequestID, r.Policy, r.API, r.Rule, r.Method,
			r.Client, r.Subject, r.Token, r.Address, r.Outcome, r.Reason, fmt.Sprint(r.Status), r.Previous, r.Detail, fmt.Sprint(r.Count), fmt.Sprint(r.KeptFrom), r.Answer,
		}
		for n := range cells {
			cells[n] = cell(cells[n])
		}
		_ = table.Write(cells)
		return table.Error() == nil
	})
	table.Flush()
	if err != nil {
		return err
	}
	return table.Error()
}
