package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/command"
)

// maxPasswordFile bounds what is read as a password.
const maxPasswordFile = 4 << 10

// add makes one user, for an operator: the API's registration gives no id.
func add(ctx context.Context, flags *command.Flags, args []string, streams Streams) error {
	stored := storageFlags(flags)
	username := flags.Text("username", "", "`name` to sign in with; it never changes")
	name := flags.Text("name", "", "full `name`")
	email := flags.Text("email", "", "e-mail `address`")
	passwordFile := flags.Text("password-file", "", "`file` with the password, - for standard input")
	replace := flags.Bool("replace", false, "give a user who has this username the new data; the id stays.\n"+
		"With another password, all apps and browsers of the user lose access")
	if err := flags.ParseAll(args); err != nil {
		return err
	}
	password, err := readPassword(*passwordFile, streams.In)
	if err != nil {
		return err
	}
	u := User{
		Username: normaliseUsername(*username),
		Name:     strings.TrimSpace(*name),
		Email:    normaliseEmail(*email),
		Locale:   defaultLocale,
	}
	if err := checkAdded(u, password); err != nil {
		return err
	}
	s, closeStore, err := stored.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	u.passwordHash = hashPassword(password)
	if u.ID, err = addOrReplace(ctx, s, u, password, *replace); err != nil {
		return err
	}
	return json.NewEncoder(streams.Out).Encode(map[string]string{"id": u.ID, "username": u.Username})
}

// checkAdded says which flag is wrong.
func checkAdded(u User, password string) error {
	for _, check := range []struct{ flag, fault string }{
		{"username", checkUsername(u.Username)},
		{"name", checkName(u.Name)},
		{"email", checkEmail(u.Email)},
		{"password-file", checkPassword(password, u.Username)},
	} {
		if check.fault != "" {
			return fmt.Errorf("--%s %s", check.flag, check.fault)
		}
	}
	return nil
}

func addOrReplace(ctx context.Context, s store, u User, password string, replace bool) (id string, err error) {
	id, created, err := s.create(ctx, u, time.Now())
	if err != nil || created {
		return id, err
	}
	if !replace {
		return "", errors.New("the username is taken; --replace gives its user the new data")
	}
	return s.replace(ctx, u, password, time.Now())
}

// readPassword reads the password without the line end that editors put behind it.
func readPassword(file string, stdin io.Reader) (string, error) {
	source := stdin
	switch file {
	case "":
		return "", errors.New("--password-file is missing")
	case "-":
	default:
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		defer func() { _ = opened.Close() }() // only read from
		source = opened
	}
	content, err := io.ReadAll(io.LimitReader(source, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
