// Command stockd is the service of the web shop that knows what is in the warehouse.
package main

import (
	"os"

	"github.com/astern-dev/astern/examples/webshop/server"
)

// Set by the linker: -X main.version=v1.2.3 -X "main.defect=fail=8 slow=20 delay=150ms" -X main.reserve=yes.
var version, defect, reserve = "dev", "", ""

func main() {
	os.Exit(server.Main(server.Build{Service: "stock", Version: version, Defect: defect, Reserve: reserve}, os.Args[1:]))
}
