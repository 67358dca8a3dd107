package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/planfile"
)

// TestFullOut lets the disk be full at each page and each file in turn that a plan takes which is written there, signed, where another
// one lies already and where none does. What found no room changes nothing there.
func TestFullOut(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	c := newContest(t, "one")
	c.write("key", newKey(t), 0o600)
	plan := func(to string) (code int, out string) {
		return c.run("one", "plan", "rollback", "shop", "--to", to, "--reason", strings.Repeat("long ", 400), "--sign", filepath.Join(c.folder, "key"), "--out", filepath.Join(c.folder, "out", "plan.json"))
	}
	const replaces = "replaces"
	where := func(t *testing.T, what string) drivertest.Disk {
		if err := os.RemoveAll(filepath.Join(c.folder, "out")); err != nil {
			t.Fatal(err)
		}
		c.write("out/another", "for a disk of no page has no end", 0o600)
		if what == replaces {
			if code, out := plan("v2"); code != 0 {
				t.Fatal(out)
			}
		}
		return drivertest.NewDisk(t, filepath.Join(c.folder, "out"))
	}
	takes := drivertest.Usage{Pages: 5, Files: 2} // that of the plan and its signature
	points := slices.Concat(drivertest.Points("begins", takes, takes), drivertest.Points(replaces, takes, takes))
	all := drivertest.FullAnywhere{Points: points, Exact: true, Share: uint64(len(points))}
	all.Try(t, func(t *testing.T, p drivertest.Point, _ map[string]float64) (failed string) {
		disk := where(t, p.What)
		before := contentsOf(t, filepath.Join(c.folder, "out"))
		disk.Leave(p.Left)
		if code, out := plan("v1"); code != 0 {
			failed = "plan"
			if code != 2 || !strings.Contains(out, "no space left on device") || !strings.Contains(out, "nothing was written") {
				t.Errorf("that the disk is full is said thus: exit code %d:\n%s", code, out)
			}
			if after := contentsOf(t, filepath.Join(c.folder, "out")); !maps.Equal(after, before) {
				t.Errorf("there were %q, and there are %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
			disk.Leave(drivertest.Plenty)
			if code, out := plan("v1"); code != 0 {
				t.Fatalf("with room: exit code %d:\n%s", code, out)
			}
		}
		after := contentsOf(t, filepath.Join(c.folder, "out"))
		made, _, err := planfile.Decode([]byte(after["plan.json"]))
		if err != nil || made.Intent.Revision != "v1" || after["plan.json.sig"] == before["plan.json.sig"] || len(after) != 3 {
			t.Errorf("there are %q, with a plan to %q: %v", slices.Sorted(maps.Keys(after)), made.Intent.Revision, err)
		}
		return failed
	})
}

// newKey makes a private SSH key.
func newKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// contentsOf are the files of a folder.
func contentsOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range all {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}
