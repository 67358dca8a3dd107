// Command paymentd is the service of the web shop that charges cards.
package main

import (
	"os"

	"github.com/astern-dev/astern/examples/webshop/server"
)

// Set by the linker: -X main.version=v1.2.2.
var version = "dev"

func main() {
	os.Exit(server.Main(server.Build{Service: "payment", Version: version}, os.Args[1:]))
}
