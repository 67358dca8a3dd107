package hostservice

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Proofs keep what was found by reading many files, for as long as nothing about these files changes. They are a cache:
// one that is lost costs time and nothing else.
type Proofs interface {
	// Proof returns the proof that was kept last under the key.
	Proof(ctx context.Context, key string) (proof []byte, ok bool, err error)
	// KeepProof keeps a proof, instead of the one before. A store that can't be written to keeps nothing, without an error.
	KeepProof(ctx context.Context, key string, proof []byte, at time.Time) error
}

// proofAge is how old a reading may be to stand for another: a disk that loses what it holds changes no time of a file.
const proofAge = 7 * 24 * time.Hour

// reading is what is known of a folder's content, and since when.
type reading struct {
	hashed
	at     time.Time // when its files were read
	proven bool      // it was not read now: nothing about its files changed since
}

// kept is what a proof says of a folder: what it held when it had that digest.
type kept struct {
	digest, hash string
	at           time.Time
	names        string // of everything below it, each as "\t", its path and "\n"; "" where they were not kept
}

// read returns the content of the folders. Where everything is asked for, a folder that is unchanged by its listing is
// not read again; where paths are named, and what is read decides about a step, every file is read.
func (d *driver) read(ctx context.Context, r reader, want asked, key string, folders []string, timeout time.Duration) []reading {
	out := make([]reading, len(folders))
	if len(folders) == 0 {
		return out
	}
	now := d.now().UTC()
	listings := make([]listing, len(folders))
	var before map[string]kept
	if want.all && d.proofs != nil {
		if !want.full { // else what is known of names is found anew, too
			before = d.proof(ctx, key)
			maps.DeleteFunc(before, func(_ string, k kept) bool {
				age := now.Sub(k.at)
				return age < 0 || age > proofAge
			})
		}
		listings = r.list(ctx, folders, before, timeout)
	}
	var unread []int
	for i, folder := range folders {
		k, ok := before[folder]
		if !ok || k.digest != listings[i].digest || !listings[i].settled() {
			unread = append(unread, i)
			continue
		}
		out[i] = reading{hashed: hashed{hash: k.hash, exists: true}, at: k.at, proven: true}
	}
	if len(unread) == 0 {
		return out
	}
	proof := map[string]kept{}
	for i, folder := range folders {
		if out[i].proven {
			proof[folder] = before[folder]
		}
	}
	paths := make([]string, len(unread))
	for n, i := range unread {
		paths[n] = folders[i]
	}
	for n, h := range r.hash(ctx, paths, timeout) {
		i := unread[n]
		out[i] = reading{hashed: h, at: d.now().UTC()}
		if h.err == nil && h.exists && listings[i].settled() {
			// The files were read after now: what is said to be known is never younger than it is.
			proof[folders[i]] = kept{digest: listings[i].digest, hash: h.hash, at: now, names: namesText(folders[i], listings[i].names)}
		}
	}
	d.keep(ctx, key, folders, proof, now)
	return out
}

// mostNames bounds a proof with names in it, in bytes: whoever has so many files gains little by not listing their folders.
const mostNames = 4 << 20

// proofVersion begins every proof. One of another version is none.
const proofVersion = "folders 2\n"

// proof returns what was kept under the key, by folder.
func (d *driver) proof(ctx context.Context, key string) map[string]kept {
	doc, ok, err := d.proofs.Proof(ctx, key)
	text, known := strings.CutPrefix(string(doc), proofVersion)
	if err != nil || !ok || !known {
		return nil // then everything is read
	}
	out := map[string]kept{}
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		names := 0
		for strings.HasPrefix(text[names:], "\t") {
			end := strings.IndexByte(text[names:], '\n')
			if end < 0 {
				return nil // it was cut off
			}
			names += end + 1
		}
		digest, rest, _ := strings.Cut(line, " ")
		hash, rest, _ := strings.Cut(rest, " ")
		read, folder, whole := strings.Cut(rest, " ")
		if at, err := time.Parse(time.RFC3339Nano, read); err == nil && whole {
			out[folder] = kept{digest: digest, hash: hash, at: at, names: text[:names]}
		}
		text = text[names:]
	}
	return out
}

// keep keeps what was read, in place of all that was known before.
func (d *driver) keep(ctx context.Context, key string, folders []string, proof map[string]kept, now time.Time) {
	if d.proofs == nil || len(proof) == 0 {
		return
	}
	var doc strings.Builder
	doc.WriteString(proofVersion)
	for _, folder := range folders {
		if k, ok := proof[folder]; ok && !strings.Contains(folder, "\n") {
			fmt.Fprintf(&doc, "%s %s %s %s\n", k.digest, k.hash, k.at.Format(time.RFC3339Nano), folder)
			if doc.Len()+len(k.names) <= mostNames {
				doc.WriteString(k.names)
			}
		}
	}
	// A proof that could not be kept is read again the next time; there is nothing to tell anybody.
	_ = d.proofs.KeepProof(ctx, key, []byte(doc.String()), now)
}
