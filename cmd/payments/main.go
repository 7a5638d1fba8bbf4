// Command payments runs the payments backend, opens accounts in it and checks
// its books.
package main

import (
	"os"

	"github.com/open-tollgate/tollgate/backends/payments"
)

func main() { os.Exit(payments.Main(os.Args[1:], os.Stdout, os.Stderr)) }
