package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "audit",
		Usage: "verify|prove|check|tail|export|pseudonym",
		Short: "Reads, verifies and proves what is in an audit log",
		Long: `
Works on the folder of an audit log, or on a copy of it, with nothing else but the
public key of the log. Keep that key, and a checkpoint now and then, where nobody who
can write to the log can change them: they are what the log is held to.`,
		CobraFunc: func(cmd *cobra.Command) {
			family(cmd, verifyCommand(), proveCommand(), checkCommand(), tailCommand(), exportCommand(), pseudonymCommand())
		},
	})
}

// Bounds of files that somebody else has sent.
const (
	maxCheckpoint = 64 << 10
	maxProof      = 8 << 20 // a record of the largest size, as JSON
)

// publicKeyName is where a log keeps its public key, for those who trust the folder.
const publicKeyName = "public.key"

// verifierOf reads the key that was named, or else the one in the folder.
func verifierOf(key, dir string) (note.Verifier, error) {
	if key == "" {
		key = filepath.Join(dir, publicKeyName)
	}
	v, err := auditlog.ReadPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("audit: public key: %w", err)
	}
	return v, nil
}

// keyFlag adds --key.
func keyFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("key", "", "File with the log's public key, kept by you; public.key of the folder if left out")
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify DIR [--key FILE] [--kept FILE]... [--live]",
		Short: "Verifies a whole log, and names the first thing that is wrong",
		Long: `
Reads each record, computes the tree and holds it to every signed checkpoint, and these to
their numbers. Names the first record that was altered, removed or put in, or that a missing
checkpoint was of, and ends with exit code 1 then. Exit code 2 says that it could not verify:
there is no log here, for one. A log of which any file is left is one.

A tail that was cut off together with its checkpoints shows only beside a checkpoint
that was kept elsewhere: give those with --kept. "tollgate audit verify DIR --checkpoint"
prints the newest one, to keep.`,
		Args: exactly(1),
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	key := keyFlag(cmd)
	kept := cmd.Flags().StringArray("kept", nil, "File with a checkpoint that was kept; can be there several times")
	live := cmd.Flags().Bool("live", false, "The log is being written: records that no checkpoint covers yet are no fault")
	checkpoint := cmd.Flags().Bool("checkpoint", false, "Print the newest checkpoint alone, to keep it elsewhere")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		verifier, err := verifierOf(*key, args[0])
		if err != nil {
			return exit(cmd, 2, err)
		}
		expect := auditlog.Expect{Live: *live}
		for _, path := range *kept {
			message, err := auditlog.ReadSmall(path, maxCheckpoint)
			if err != nil {
				return exit(cmd, 2, fmt.Errorf("audit verify: --kept: %w", err))
			}
			expect.Kept = append(expect.Kept, message)
		}
		report, err := auditlog.Verify(args[0], verifier, expect)
		if fault := (*auditlog.Fault)(nil); errors.As(err, &fault) {
			return exit(cmd, 1, fmt.Errorf("audit verify: NOT what was signed: %w", err))
		}
		if err == nil && report.Checkpoints == 0 {
			err = errors.New("the log has no checkpoint yet, so nothing is signed")
		}
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("audit verify: not verified: %w", err))
		}
		if *checkpoint {
			_, err = cmd.OutOrStdout().Write(report.Message)
		} else {
			err = printReport(cmd.OutOrStdout(), report)
		}
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("audit verify: %w", err))
		}
		return nil
	}
	return cmd
}

func printReport(w io.Writer, r auditlog.Report) error {
	_, err := fmt.Fprintf(w, "verified: records %d to %d of %s, %d checkpoints, the newest of %s\n",
		r.First, r.Size-1, r.Newest.Origin, r.Checkpoints, r.Newest.Time.UTC().Format("2006-01-02 15:04:05 MST"))
	if r.First > 0 && err == nil {
		_, err = fmt.Fprintf(w, "records 0 to %d were deleted because of their age, as the log says itself\n", r.First-1)
	}
	if r.Unnumbered > 0 && err == nil {
		_, err = fmt.Fprintf(w, "the first %d checkpoints have no number: that none was removed from between them is not verified\n", r.Unnumbered)
	}
	if r.ClockSetBack > 0 && err == nil {
		_, err = fmt.Fprintf(w, "the clock of the node was set back %d times: times are not in the order of the records\n", r.ClockSetBack)
	}
	if r.Uncovered > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%d more records wait for their checkpoint and are not verified\n", r.Uncovered)
	}
	return err
}

func proveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prove DIR (--number N | --request-id ID) [--key FILE] [--wait TIME]",
		Short: "Prints a proof that one record is in the log",
		Long: `
The proof is a JSON document: the record, its place, the hashes that lead to the root of
the tree, and the signed checkpoint. With it and the public key, "tollgate audit check"
verifies the record without the log. Where the record does not say what the caller got,
because its answer was left to others ("answer"), a note on standard error says so.`,
		Args: cobra.ExactArgs(1),
	}
	key := keyFlag(cmd)
	number := cmd.Flags().Int64("number", -1, "Place of the record, counted from the log's very first")
	request := cmd.Flags().String("request-id", "", "The X-Request-Id of the answer that the record is about")
	wait := cmd.Flags().Duration("wait", 0, "How long to wait for a record that is not written or signed yet; what else is wrong ends it at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		verifier, err := verifierOf(*key, args[0])
		if err != nil {
			return err
		}
		if (*number < 0) == (*request == "") {
			return errors.New("audit prove: one of --number and --request-id is needed")
		}
		proof, err := prove(args[0], *number, *request, verifier)
		for until := time.Now().Add(*wait); isNotYet(err) && time.Now().Before(until); {
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-time.After(time.Second / 5):
				proof, err = prove(args[0], *number, *request, verifier)
			}
		}
		if err != nil {
			return fmt.Errorf("audit prove: %w", err)
		}
		cmd.PrintErr(caveat([]byte(proof.Record)))
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		return encoder.Encode(proof)
	}
	return cmd
}

// prove proves a record by its number, or by its request where one is named.
func prove(dir string, number int64, request string, verifier note.Verifier) (proof auditlog.Proof, err error) {
	if request != "" {
		if number, err = numberOf(dir, request); err != nil {
			return proof, err
		}
	}
	return auditlog.Prove(dir, number, verifier)
}

func isNotYet(err error) bool {
	_, is := errors.AsType[*auditlog.NotYet](err)
	return is
}

// numberOf finds the record of a request. It looks at the newest records first, and says
// where there is another one beside it: which of them is meant, it cannot know.
func numberOf(dir, request string) (int64, error) {
	found, another := int64(-1), int64(-1)
	wanted := filter{requestID: request}
	err := auditlog.Backwards(dir, func(records func(func(int64, []byte) bool) error) (bool, error) {
		err := records(func(number int64, text []byte) bool {
			if wanted.matches(text) {
				found, another = number, found
			}
			return another < 0
		})
		return found < 0, err
	})
	if err == nil && found < 0 {
		err = &auditlog.NotYet{What: fmt.Sprintf("no record of request %s", request)}
	}
	if err == nil && another >= 0 {
		err = fmt.Errorf("records %d and %d are of request %s: say which is meant, with --number", another, found, request)
	}
	return found, err
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check PROOF --key FILE",
		Short: "Verifies a proof, without the log",
		Long: `
Exit code 1: the proof does not hold; 2: could not look, or the file is no proof.

A record with "answer" says what the API decided, and not what the caller got: its answer was
left to others, to "error_routes" (handle_errors) or to a handler around it ("intercepted"),
which may have sent the request to a service. A note behind the record says so.`,
		Args: exactly(1),
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	key := cmd.Flags().String("key", "", "File with the log's public key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *key == "" {
			return exit(cmd, 2, errors.New("audit check: --key is needed: a proof is worth as much as the key it is held to"))
		}
		verifier, err := verifierOf(*key, "")
		if err != nil {
			return exit(cmd, 2, err)
		}
		content, err := auditlog.ReadSmall(args[0], maxProof)
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("audit check: %w", err))
		}
		var proof auditlog.Proof
		if err := json.Unmarshal(content, &proof); err != nil {
			return exit(cmd, 2, fmt.Errorf("audit check: %s is not a proof: %w", args[0], err))
		}
		if proof.Record == "" || proof.Checkpoint == "" {
			return exit(cmd, 2, fmt.Errorf("audit check: %s is not a proof, as \"tollgate audit prove\" prints it: it has no record, or no checkpoint", args[0]))
		}
		if err := proof.Check(verifier); err != nil {
			return exit(cmd, 1, fmt.Errorf("audit check: NOT proved: %w", err))
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "proved: record %d of %s is\n%s\n%s", proof.Number, verifier.Name(), shown([]byte(proof.Record)), caveat([]byte(proof.Record)))
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("audit check: %w", err))
		}
		return nil
	}
	return cmd
}

var pseudonymKinds = []string{auditlog.ClientPseudonym, auditlog.SubjectPseudonym, auditlog.TokenPseudonym, auditlog.AddressPseudonym}

func pseudonymCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pseudonym DIR client|subject|token|address VALUE",
		Short: "Prints what stands for a name in a log",
		Long: `
Names of people, clients and tokens are in the log as keyed hashes. Who has the log's
pseudonym.key can compute that of a name they know, and look for it.`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(pseudonymKinds, args[1]) { // of another kind there is one as well, and no record has it
				return fmt.Errorf("audit pseudonym: %q is not %s", args[1], strings.Join(pseudonymKinds, ", "))
			}
			pseudonym, err := auditlog.Pseudonym(args[0], args[1], args[2])
			if err != nil {
				return fmt.Errorf("audit pseudonym: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), pseudonym)
			return err
		},
	}
}
