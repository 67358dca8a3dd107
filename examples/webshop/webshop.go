// Package webshop is a small real web shop, for practice, the demo and the tests: a shop and a stock of two instances each,
// a payment of one, a balancer in front of them, a file of feature flags, and a load of customers. A service is laid out as the kind host.service expects:
//
//	ROOT/releases/v1.2.2/shopd     the program of one release
//	ROOT/current-shop-1            link to the release that the instance runs
//	ROOT/ctl                       starts, stops and asks instances
//	ROOT/etc, ROOT/run, ROOT/log   what ctl needs
package webshop

import (
	_ "embed"
	"text/template"
	"time"
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
	Flags    string    // file of feature flags
	// Watch is how long a revision is watched before it is known-good.
	Watch time.Duration
}

// Service is one of the shop's services.
type Service struct {
	Name  string
	Root  string // folder on this machine
	Dist  string // folder of built releases, "…/{revision}"
	Front string // host:port of the balancer for it
	// Probe is a request that shows that the service does its business, and changes nothing.
	Probe Probe
	// Flow is the path of the way that a customer takes, through the balancer.
	Flow      string
	DependsOn []string
	// Signals says that the service's own counters tell a bad release.
	Signals bool
	// Flags are the features of it that a flag switches off.
	Flags     []Flag
	Instances []Instance
}

// Probe is a request.
type Probe struct {
	Method string
	Path   string
	Status int
}

// Flag is a feature behind a flag.
type Flag struct {
	Name    string
	Affects string // what is gone when it is off
}

// Instance is one process of a service.
type Instance struct {
	Name    string
	Address string // host:port
}
