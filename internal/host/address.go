package host

import (
	"context"
	"net"
	"strings"
	"time"
)

// hostPort returns the address with the SSH port when it names none.
func hostPort(address string) string {
	if h, p, err := net.SplitHostPort(address); err == nil {
		return net.JoinHostPort(h, p)
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "22")
}

// CommandLine returns the words that a person types before a remote command to reach the host. Login is empty when the
// declaration has none.
func CommandLine(address, login, keyFile string) []string {
	h, p, _ := net.SplitHostPort(hostPort(address)) // hostPort always gives both
	words := []string{"ssh"}
	if p != "22" {
		words = append(words, "-p", p)
	}
	if keyFile != "" {
		words = append(words, "-i", keyFile)
	}
	if login != "" {
		h = login + "@" + h
	}
	return append(words, h)
}

// take waits for a place in the channel.
func take(ctx context.Context, places chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
