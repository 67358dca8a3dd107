// Command shopd is the service of the web shop that takes orders and asks stock and payment for each.
package main

import (
	"os"

	"github.com/astern-dev/astern/examples/webshop/server"
)

// Set by the linker: -X main.version=v1.2.3 -X "main.defect=fail=8 slow=20 delay=150ms" -X main.reserve=yes
// -X main.express=broken.
var version, defect, reserve, express = "dev", "", "", ""

func main() {
	os.Exit(server.Main(server.Build{Service: "shop", Version: version, Defect: defect, Reserve: reserve, Express: express}, os.Args[1:]))
}
