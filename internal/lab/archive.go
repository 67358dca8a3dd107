package lab

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Limits of a function's archive. The first is Lambda's.
//
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxUnzipped = 250 << 20
	maxFiles    = 10_000
)

// unzip writes what an archive holds into an empty folder, and nothing beside it. Links and names that lead out of the
// folder are refused, as is what has more bytes than it may, whatever the archive says of its sizes.
func unzip(archive []byte, into string, most int64) error {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	if len(z.File) > maxFiles {
		return fmt.Errorf("the archive has %d files, %d are taken", len(z.File), maxFiles)
	}
	root, err := os.OpenRoot(into)
	if err != nil {
		return fmt.Errorf("unpacking the archive: %w", err)
	}
	defer root.Close()
	left := most
	for _, f := range z.File {
		if left, err = unzipFile(root, f, left); err != nil {
			return fmt.Errorf("unpacking %q of the archive: %w", f.Name, err)
		}
	}
	return nil
}

// unzipFile writes one file and returns how many bytes may still come.
func unzipFile(root *os.Root, f *zip.File, left int64) (int64, error) {
	mode := f.Mode()
	if !filepath.IsLocal(filepath.Clean(f.Name)) {
		return 0, errors.New("it leads out of the archive")
	}
	if mode.IsDir() {
		return left, root.MkdirAll(filepath.Clean(f.Name), 0o755)
	}
	if !mode.IsRegular() || filepath.Clean(f.Name) == "." {
		return 0, errors.New("it is no file")
	}
	if dir := filepath.Dir(filepath.Clean(f.Name)); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return 0, err
		}
	}
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	// A process that is started meanwhile would hold the file open for writing, and then it can't be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := root.OpenFile(filepath.Clean(f.Name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode.Perm())
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil && n > left {
		err = errors.New("unzipped size must be smaller than 262144000 bytes")
	}
	return left - n, err
}
