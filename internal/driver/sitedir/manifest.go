package sitedir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern/internal/pattern"
)

// file is one file of a release.
type file struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// manifest says what a release holds.
type manifest struct {
	Kind     string `json:"kind"` // SiteManifest
	Version  int    `json:"version"`
	Revision string `json:"revision"`
	Hash     string `json:"hash"`  // of the files: see hashOf
	Files    []file `json:"files"` // sorted by path
}

const manifestKind = "SiteManifest"

var digestShape = pattern.New(`^[0-9a-f]+$`)

func goodDigest(s string) bool { return len(s) == 64 && digestShape.MatchString(s) }

func goodHash(s string) bool {
	return strings.HasPrefix(s, "sha256:") && goodDigest(s[len("sha256:"):])
}

// hashOf returns the content hash of files that are sorted by path: that of the lines "DIGEST SIZE PATH".
func hashOf(files []file) string {
	sum := sha256.New()
	var line []byte
	for _, f := range files {
		line = append(append(line[:0], f.SHA256...), ' ')
		line = append(append(strconv.AppendInt(line, f.Size, 10), ' '), f.Path...)
		sum.Write(append(line, '\n')) // a hash takes everything
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func sortFiles(files []file) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
}

func find(files []file, name string) (file, bool) {
	i, ok := slices.BinarySearchFunc(files, name, func(f file, name string) int { return strings.Compare(f.Path, name) })
	if !ok {
		return file{}, false
	}
	return files[i], true
}

// encode writes the manifest of a release.
func encode(revision string, files []file) []byte {
	text, err := json.MarshalIndent(manifest{manifestKind, 1, revision, hashOf(files), files}, "", " ")
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return append(text, '\n')
}

// decode reads a manifest and says what is wrong with it.
func decode(text []byte, revision string) (manifest, error) {
	var m manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("it can't be read: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return m, fmt.Errorf("something follows its end")
	}
	switch {
	case m.Kind != manifestKind || m.Version != 1:
		return m, fmt.Errorf("it is no manifest of a site in version 1")
	case m.Revision != revision:
		return m, fmt.Errorf("it is that of %q", oneLine(m.Revision))
	}
	for i, f := range m.Files {
		if !goodPath(f.Path) || !goodDigest(f.SHA256) || f.Size < 0 || i > 0 && m.Files[i-1].Path >= f.Path {
			return m, fmt.Errorf("its entry %d (%q) is not one of a manifest, which is sorted by path", i, oneLine(f.Path))
		}
	}
	if hash := hashOf(m.Files); hash != m.Hash {
		return m, fmt.Errorf("its hash is not that of its files")
	}
	return m, nil
}

// differences says how what is there differs from what should be, in words; "" when it does not. Both are sorted by path.
// With more, files may be there that should not.
func differences(should, is []file, more bool) string {
	var out []string
	add := func(how, path string) { out = append(out, path+" "+how) }
	for i, j := 0, 0; i < len(should) || j < len(is); {
		switch {
		case j == len(is) || i < len(should) && should[i].Path < is[j].Path:
			add("is gone", should[i].Path)
			i++
		case i == len(should) || is[j].Path < should[i].Path:
			if !more {
				add("was added", is[j].Path)
			}
			j++
		default:
			if should[i].SHA256 != is[j].SHA256 {
				add("was changed", is[j].Path)
			}
			i, j = i+1, j+1
		}
	}
	if len(out) == 0 {
		return ""
	}
	text := strings.Join(out[:min(len(out), 3)], ", ")
	if len(out) > 3 {
		text += fmt.Sprintf(" and %d more", len(out)-3)
	}
	return oneLine(text)
}

// without returns the files at paths that the release does not have, nor can have beside its own: a file where the release
// has a folder, or the reverse.
func without(files, release []file) []file {
	taken := map[string]bool{}
	folders := map[string]bool{}
	for _, f := range release {
		taken[f.Path] = true
		for dir := parent(f.Path); dir != "" && !folders[dir]; dir = parent(dir) {
			folders[dir] = true
		}
	}
	var out []file
next:
	for _, f := range files {
		if taken[f.Path] || folders[f.Path] {
			continue
		}
		for dir := parent(f.Path); dir != ""; dir = parent(dir) {
			if taken[dir] {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

// pickedName is the name of the release that is BASE with one file of another content. What was picked before is left out
// of the base's name, so that names don't grow.
func pickedName(base, baseHash, name, version string) string {
	if i := strings.LastIndex(base, "-o"); i > 0 && len(base)-i == len("-o")+12 && digestShape.MatchString(base[i+2:]) {
		base = base[:i]
	}
	return base[:min(len(base), 100)] + "-o" + digits(baseHash+"\n"+name+"\n"+version)
}

// digits returns the first twelve digits of a text's SHA-256.
func digits(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// version words the version of a file for the state: its digest and size.
func (f file) version() string { return fmt.Sprintf("sha256:%s %d", f.SHA256, f.Size) }

// size is what files take on a disk.
type size struct {
	bytes  int64 // of their content
	blocks int64 // bytes of the blocks that they fill
	nodes  int64 // files and folders
}

// takes returns what the files take on a disk, with their folders and the one that all are in.
func takes(files []file) size {
	const block = 4 << 10 // of which a disk mostly gives whole ones
	out := size{nodes: int64(len(files)) + 1}
	folders := map[string]bool{}
	for _, f := range files {
		out.bytes += f.Size
		out.blocks += (f.Size + block - 1) / block * block
		for dir := parent(f.Path); dir != "" && !folders[dir]; dir = parent(dir) {
			folders[dir] = true
			out.nodes++
		}
	}
	return out
}
