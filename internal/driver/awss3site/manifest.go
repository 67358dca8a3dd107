package awss3site

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

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// file is one object of a release.
type file struct {
	Path   string `json:"path"` // below the prefix
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// ETag tells contents apart without reading them; Version is the object version that holds it, "" in a bucket that
	// keeps none.
	ETag    string `json:"etag"`
	Version string `json:"version_id,omitempty"`
	headers
}

// headers are what S3 answers with an object, and what a copy of it must have again.
type headers struct {
	ContentType        string            `json:"content_type,omitempty"`
	CacheControl       string            `json:"cache_control,omitempty"`
	ContentEncoding    string            `json:"content_encoding,omitempty"`
	ContentDisposition string            `json:"content_disposition,omitempty"`
	ContentLanguage    string            `json:"content_language,omitempty"`
	Redirect           string            `json:"website_redirect_location,omitempty"`
	StorageClass       string            `json:"storage_class,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// manifest says what a release holds.
type manifest struct {
	Kind     string `json:"kind"` // S3SiteManifest
	Version  int    `json:"version"`
	Revision string `json:"revision"`
	Hash     string `json:"hash"`  // of the files: see hashOf
	Files    []file `json:"files"` // sorted by path
}

const manifestKind = "S3SiteManifest"

// maxManifest bounds a manifest: some 200,000 objects.
const maxManifest = 64 << 20

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

func (m manifest) find(path string) (file, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f file, path string) int { return strings.Compare(f.Path, path) })
	if !ok {
		return file{}, false
	}
	return m.Files[i], true
}

// manifestOf makes the manifest of files, which are sorted by path.
func manifestOf(revision string, files []file) manifest {
	return manifest{manifestKind, 1, revision, hashOf(files), files}
}

func (m manifest) encode() []byte {
	text, err := json.Marshal(m)
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
		if !goodPath(f.Path) || !goodDigest(f.SHA256) || f.Size < 0 || f.ETag == "" || i > 0 && m.Files[i-1].Path >= f.Path {
			return m, fmt.Errorf("its entry %d (%q) is not one of a manifest, which is sorted by path", i, oneLine(f.Path))
		}
	}
	if hashOf(m.Files) != m.Hash {
		return m, fmt.Errorf("its hash is not that of its files")
	}
	return m, nil
}

// version words the version of an object for the state.
func (f file) version() string { return fmt.Sprintf("sha256:%s %d %s", f.SHA256, f.Size, f.Version) }

// pickedName is the name of the release that is BASE with one object of another content. What was picked before is left
// out of the base's name, so that names don't grow.
func pickedName(base, baseHash, path, version string) string {
	if i := strings.LastIndex(base, "-o"); i > 0 && len(base)-i == len("-o")+12 && digestShape.MatchString(base[i+2:]) {
		base = base[:i]
	}
	return base[:min(len(base), 100)] + "-o" + digits(baseHash+"\n"+path+"\n"+version)
}

// digits returns the first twelve digits of a text's SHA-256.
func digits(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// unrecorded begins the name of what is served and no release has.
const unrecorded = astern.Unrecorded

// nameOf is the name of what is served, by its entry points.
func nameOf(entries map[string]object, order []string) string {
	var text strings.Builder
	for _, path := range order {
		if e, ok := entries[path]; ok {
			fmt.Fprintf(&text, "%s %d %s\n", e.etag, e.size, path)
		}
	}
	if text.Len() == 0 {
		return ""
	}
	return unrecorded + digits(text.String())
}

// marker is what _current.json says.
type marker struct {
	Kind      string `json:"kind"` // S3SiteMarker
	Version   int    `json:"version"`
	Revision  string `json:"revision"` // whose entry points were put last
	Fence     int64  `json:"fence"`
	Execution string `json:"execution"`
	Address   string `json:"address"`
	At        string `json:"at"`
	Owner     string `json:"owner,omitempty"` // these three as in astern.Claim
	By        string `json:"by,omitempty"`
	Open      bool   `json:"open,omitempty"`
	// Same are the ETags of copies that are not those of what was copied.
	Same copies `json:"same,omitempty"`
	// Done is the token of the last step that came to its end.
	Done string `json:"done,omitempty"`
}

// copies are recorded ETags, and those that the copies of the same content have now.
type copies map[string]string

// holds reports whether the object has the content of the file.
func (c copies) holds(f file, o object) bool {
	return f.Size == o.size && (f.ETag == o.etag || o.etag != "" && c[f.ETag] == o.etag)
}

// of returns the copies of files of the manifest, with those that were made now.
func (c copies) of(m manifest, made copies) copies {
	out := copies{}
	for _, f := range m.Files {
		if now, ok := made[f.ETag]; ok {
			out[f.ETag] = now
		} else if was, ok := c[f.ETag]; ok {
			out[f.ETag] = was
		}
	}
	return out
}

const markerKind = "S3SiteMarker"

// few joins the first of many and counts the rest.
func few(list []string) string {
	text := strings.Join(list[:min(len(list), 3)], ", ")
	if len(list) > 3 {
		text += fmt.Sprintf(" and %d more", len(list)-3)
	}
	return oneLine(text)
}

func failed(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}
