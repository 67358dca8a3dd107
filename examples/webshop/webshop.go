// Package webshop is a small real web shop, for practice, the demo and the tests: two services of two instances each, a
// balancer in front of them, and a load of customers. A service is laid out as the kind host.service expects:
//
//	ROOT/releases/v1.2.2/shopd     the program of one release
//	ROOT/current-shop-1            link to the release that the instance runs
//	ROOT/ctl                       starts, stops and asks instances
//	ROOT/etc, ROOT/run, ROOT/log   what ctl needs
package webshop

import (
	_ "embed"
	"text/template"
)

// Ctl is the script that starts, stops and asks instances; it lies in the root folder of a service.
//
//go:embed ctl
var Ctl []byte

//go:embed astern.yaml.tmpl
var declaration string

// Declaration is the template of the shop's astern.yaml; it is executed with a Site.
var Declaration = template.Must(template.New("astern.yaml").Parse(declaration))

// Site is where a web shop lives.
type Site struct {
	Services []Service // in the order in which they depend on each other, the independent first
}

// Service is one of the shop's services.
type Service struct {
	Name  string
	Root  string // folder on this machine
	Dist  string // folder of built releases, "…/{revision}"
	Front string // host:port of the balancer for it
	// Probe is a request that shows that the service does its business, and changes nothing.
	Probe     Probe
	DependsOn []string
	Instances []Instance
}

// Probe is a request.
type Probe struct {
	Method string
	Path   string
	Status int
}

// Instance is one process of a service.
type Instance struct {
	Name    string
	Address string // host:port
}
