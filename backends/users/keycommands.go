package users

import (
	"context"
	"errors"

	"github.com/open-tollgate/tollgate/backends/internal/command"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

// keyAdd puts a new master key into the key file. Services that run read the file
// again when they meet a value that the new key sealed.
func keyAdd(_ context.Context, flags *command.Flags, args []string, streams Streams) error {
	stored := storageFlags(flags)
	if err := flags.ParseAll(args); err != nil {
		return err
	}
	file, err := stored.keyFile()
	if err != nil {
		return err
	}
	if _, err := OpenKeys(file); err != nil { // makes the file when it is missing
		return err
	}
	if err := vault.AddKey(file); err != nil {
		return err
	}
	return command.Print(streams.Out, map[string]string{"key_file": file})
}

// keyRotate seals everything with the newest master key. It can be repeated, and
// broken off, at any time.
func keyRotate(ctx context.Context, flags *command.Flags, args []string, streams Streams) error {
	stored := storageFlags(flags)
	forget := flags.Switch("forget-old", "then leave only the newest key in the file: what a backup holds under older ones opens no more")
	if err := flags.ParseAll(args); err != nil {
		return err
	}
	file, err := stored.keyFile()
	if err != nil {
		return err
	}
	s, closeStore, err := stored.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	total := 0
	// Until there is none: a service that has not read the file yet may add some.
	for {
		count, err := s.rewrap(ctx)
		total += count
		if err != nil {
			return err
		}
		if count == 0 {
			break
		}
	}
	if *forget {
		if err := vault.ForgetOld(file); err != nil {
			return errors.Join(errors.New("the keys are sealed anew, and the old ones still there"), err)
		}
	}
	return command.Print(streams.Out, map[string]any{"sealed_anew": total, "old_keys_forgotten": *forget})
}
