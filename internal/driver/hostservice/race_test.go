package hostservice

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHashWhileLinksAreSwapped hashes a release while another process exchanges one of its folders, again and again, for
// a link to a folder outside: what lies outside never gets into the hash as if it were the release's.
func TestHashWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write := func(name, content string) {
		at := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("release/sub/file", "ours")
	write("outside/file", "secret")
	write("stolen/sub/file", "secret") // how the release would look if the link were followed
	stolen := hashHere(t.Context(), filepath.Join(top, "stolen"))
	sub, aside, link := filepath.Join(top, "release/sub"), filepath.Join(top, "aside"), filepath.Join(top, "link")
	if err := os.Symlink(filepath.Join(top, "outside"), link); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() { // ends by stop
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			for _, move := range [][2]string{{sub, aside}, {link, sub}, {sub, link}, {aside, sub}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	read := 0
	for range 5000 {
		switch h := hashHere(t.Context(), filepath.Join(top, "release")); {
		case h.err == nil && h.hash == stolen.hash:
			t.Error("what lies outside the release was hashed as its own")
		case h.err == nil:
			read++
		}
	}
	close(stop)
	swaps := <-done
	if read == 0 || swaps == 0 || stolen.err != nil {
		t.Errorf("%d hashes were read while %d exchanges were made, %v", read, swaps, stolen.err)
	}
	t.Logf("%d of 5000 hashes read while %d exchanges were made", read, swaps)
}
