package hostservice

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ticked waits until what changes in the folder from now on has another time than all that is there: the clock of a file system has
// steps of some milliseconds, and a listing does not stand for anything before its changes are seconds old.
func ticked(t *testing.T, folder string) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	newest := native{}.list(t.Context(), []string{folder}, nil, readTimeout)[0].newest
	for deadline := time.Now().Add(10 * time.Second); ; {
		mk(t, os.WriteFile(probe, nil, 0o600))
		var st unix.Stat_t
		mk(t, unix.Stat(probe, &st))
		mk(t, os.Remove(probe))
		if time.Unix(st.Ctim.Unix()).After(newest) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the clock of the file system stands still")
		}
	}
}

// Whatever is done to a folder, a listing by the names of before is the listing of the folder; where nothing was done no folder is opened.
func TestListingByNamesOfBefore(t *testing.T) {
	must := func(t *testing.T, errs ...error) {
		t.Helper()
		for _, err := range errs {
			mk(t, err)
		}
	}
	var was unix.Stat_t
	for name, change := range map[string]func(t *testing.T, at string){
		"nothing":           nil,
		"a new file":        func(t *testing.T, at string) { put(t, at, "c", 0o644) },
		"a new folder":      func(t *testing.T, at string) { must(t, os.Mkdir(at+"/new", 0o755)) },
		"a new file below":  func(t *testing.T, at string) { put(t, at, "sub/deep/new", 0o644) },
		"a file gone":       func(t *testing.T, at string) { must(t, os.Remove(at+"/a")) },
		"a file gone below": func(t *testing.T, at string) { must(t, os.Remove(at+"/sub/deep/x")) },
		"all gone":          func(t *testing.T, at string) { must(t, os.RemoveAll(at)) },
		"everything gone":   func(t *testing.T, at string) { must(t, os.RemoveAll(filepath.Dir(at))) },
		"another name":      func(t *testing.T, at string) { must(t, os.Rename(at+"/a", at+"/z")) },
		"names exchanged": func(t *testing.T, at string) {
			must(t, unix.Renameat2(unix.AT_FDCWD, at+"/a", unix.AT_FDCWD, at+"/b", unix.RENAME_EXCHANGE))
		},
		"another permission": func(t *testing.T, at string) { must(t, os.Chmod(at+"/sub/deep/x", 0o755)) },
		"the same size and time": func(t *testing.T, at string) {
			must(t, unix.Lstat(at+"/a", &was), os.WriteFile(at+"/a", []byte("CONTENT OF A"), 0o644),
				os.Chtimes(at+"/a", time.Unix(was.Atim.Unix()), time.Unix(was.Mtim.Unix())))
		},
		"a folder's time put back": func(t *testing.T, at string) {
			must(t, unix.Lstat(at+"/sub", &was))
			put(t, at, "sub/new", 0o644)
			must(t, os.Chtimes(at+"/sub", time.Unix(was.Atim.Unix()), time.Unix(was.Mtim.Unix())))
		},
		"a folder for a link to its copy": func(t *testing.T, at string) {
			must(t, os.Rename(at+"/sub", at+"/../copy"), os.Symlink("../copy", at+"/sub"))
		},
		"a folder for another with the same names": func(t *testing.T, at string) {
			must(t, os.Rename(at+"/sub", at+"/../copy"))
			put(t, at, "sub/deep/x", 0o644)
		},
		"a file for a folder":   func(t *testing.T, at string) { must(t, os.Remove(at+"/a"), os.Mkdir(at+"/a", 0o755)) },
		"a folder for a file":   func(t *testing.T, at string) { must(t, os.RemoveAll(at+"/sub"), os.WriteFile(at+"/sub", nil, 0o644)) },
		"a release for a link":  func(t *testing.T, at string) { must(t, os.Rename(at, at+"x"), os.Symlink("v1x", at)) },
		"a release for another": func(t *testing.T, at string) { must(t, os.Rename(at, at+"x")); put(t, at, "a", 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			at := filepath.Join(root, "releases", "v1")
			for _, name := range []string{"a", "b", "sub/deep/x", "sub/.hidden", "sub/ b\tc"} {
				put(t, at, name, 0o644)
			}
			link(t, "a", at+"/current")
			ticked(t, at)
			folders := []string{at}
			first := native{}.list(t.Context(), folders, nil, readTimeout)[0]
			names := "\t" + strings.Join(first.names, "\n\t") + "\n" // whatever the file system: nothing is below it here, as an overlay's lower layers are
			before := map[string]kept{at: {digest: first.digest, names: names}}
			if change != nil {
				change(t, at)
			}
			got, want := native{}.list(t.Context(), folders, before, readTimeout)[0], native{}.list(t.Context(), folders, nil, readTimeout)[0]
			if got.digest != want.digest || !got.newest.Equal(want.newest) {
				t.Errorf("by names %+v, without %+v", got, want)
			}
			if same := got.digest == first.digest; same != (change == nil) {
				t.Errorf("the digest is the same: %t", same)
			}
			if listed := got.names != nil; change == nil && listed {
				t.Error("a folder was listed of which nothing changed")
			}
		})
	}
}

// Names that a proof can't hold in lines are not kept, and neither are those of another file system, or of none.
func TestNamesThatAreNotKept(t *testing.T) {
	at := filepath.Join(t.TempDir(), "v1")
	put(t, at, "a\nb", 0o644)
	if text := namesText(at, native{}.list(t.Context(), []string{at}, nil, readTimeout)[0].names); text != "" {
		t.Errorf("kept %q", text)
	}
	if text := namesText("/proc/self", []string{"fd"}); text != "" {
		t.Errorf("kept %q of a file system that changes no times", text)
	}
	if text := namesText(at+"/none", []string{"a"}); text != "" {
		t.Errorf("kept %q of a folder that is gone", text)
	}
	if names := namesOf([]entry{{device: 1}, {path: "a", device: 1}, {path: "b", device: 2}}); names != nil {
		t.Errorf("kept %q of two file systems", names)
	}
}

// A proof that was cut off anywhere says less or nothing, and is read to its end.
func TestProofCutOff(t *testing.T) {
	whole := proofVersion + "d1 sha256:h1 2026-01-01T00:00:00Z /r/v 1\n\ta\n\t\tb\n" + "d2 sha256:h2 2026-01-01T00:00:00Z /r/v2\n\tc\n"
	m := &memory{kept: map[string][]byte{}}
	d := &driver{proofs: m}
	for cut := range len(whole) {
		mk(t, m.KeepProof(t.Context(), "k", []byte(whole[:cut]), time.Time{}))
		for folder, k := range d.proof(t.Context(), "k") {
			if folder == "/r/v 1" && k.names != "\ta\n\t\tb\n" && k.names != "\ta\n" && k.names != "" {
				t.Errorf("cut after %d bytes: %q", cut, k.names)
			}
		}
	}
	mk(t, m.KeepProof(t.Context(), "k", []byte(whole), time.Time{}))
	got := d.proof(t.Context(), "k")
	if len(got) != 2 || got["/r/v 1"].names != "\ta\n\t\tb\n" || got["/r/v2"].names != "\tc\n" || got["/r/v2"].digest != "d2" {
		t.Errorf("the whole says %+v", got)
	}
}

// Thousands of folders in folders of their own, as of a source with a tail, take no more open files than one; and whoever is called off
// asks for nothing more.
func TestListingByNamesOpensNoFolder(t *testing.T) { // not beside others: it limits open files
	root, before := t.TempDir(), map[string]kept{}
	var folders []string
	for i := range 200 {
		at := filepath.Join(root, "v"+strconv.Itoa(i), "dist")
		put(t, at, "a", 0o644)
		folders = append(folders, at)
	}
	for i, l := range (native{}).list(t.Context(), folders, nil, readTimeout) {
		before[folders[i]] = kept{digest: l.digest, names: "\ta\n"}
	}
	var was unix.Rlimit
	mk(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	open, err := os.ReadDir("/proc/self/fd")
	mk(t, err)
	mk(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)) + 50, Max: was.Max}))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	for i, l := range (native{}).list(t.Context(), folders, before, readTimeout) {
		if l.digest != before[folders[i]].digest || l.names != nil {
			t.Fatalf("%s was listed, or could not be: %+v", folders[i], l)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := strings.Repeat("\ta\n", 2*namesAtOnce)
	if got := (parent{}).entriesOf(ctx, nil, folders[0], many); len(got) != 0 {
		t.Errorf("%d names were asked for by who was called off", len(got))
	}
}
