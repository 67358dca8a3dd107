package awss3site

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
)

// maxHeads is of how many objects one observation asks for the headers; of more, it asks for those of the entry points.
const maxHeads = 500

// headersOf are the headers of an object that was looked at.
func headersOf(out *s3.HeadObjectOutput) headers {
	return headers{aws.ToString(out.ContentType), aws.ToString(out.CacheControl), aws.ToString(out.ContentEncoding), aws.ToString(out.ContentDisposition),
		aws.ToString(out.ContentLanguage), aws.ToString(out.WebsiteRedirectLocation), string(out.StorageClass), out.Metadata}
}

// unlike names the headers in which two objects differ, "" for none. Where S3 stores them is no header.
func (h headers) unlike(o headers) string {
	var out []string
	for _, one := range [][3]string{{"Content-Type", h.ContentType, o.ContentType}, {"Cache-Control", h.CacheControl, o.CacheControl},
		{"Content-Encoding", h.ContentEncoding, o.ContentEncoding}, {"Content-Disposition", h.ContentDisposition, o.ContentDisposition},
		{"Content-Language", h.ContentLanguage, o.ContentLanguage}, {"redirect", h.Redirect, o.Redirect}} {
		if one[1] != one[2] {
			out = append(out, one[0])
		}
	}
	if !maps.Equal(h.Metadata, o.Metadata) {
		out = append(out, "metadata")
	}
	return strings.Join(out, " and ")
}

// compareHeaders looks which objects have the content of the release and not its headers: the ETag says nothing of these. An object
// that is the very version of the release has its headers, and one that a known release has, those; of the others it asks S3.
func (s *survey) compareHeaders(ctx context.Context, r *release, most int, known ...manifest) error {
	var ask []int
	for k, f := range r.manifest.Files {
		is := s.now[f.Path]
		if !r.ways[k].live || is.version != "" && is.version == f.Version {
			continue
		}
		i := slices.IndexFunc(known, func(m manifest) bool {
			g, ok := m.find(f.Path)
			return ok && is.version != "" && g.Version == is.version && g.ETag == is.etag
		})
		if i < 0 {
			ask = append(ask, k)
		} else if g, ok := known[i].find(f.Path); ok {
			r.ways[k].has(f, is, g.headers)
		}
	}
	if len(ask) > most {
		ask = slices.DeleteFunc(ask, func(k int) bool { return !s.p.isEntry(r.manifest.Files[k].Path) })
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for _, k := range ask {
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return astern.Errorf(astern.Interrupted, "interrupted: %w", context.Cause(groupCtx))
			}
			f := r.manifest.Files[k]
			is, h, ok, err := s.head(groupCtx, s.p.Prefix+f.Path)
			if err != nil {
				return err
			}
			if ok && is.etag == s.now[f.Path].etag { // else it was changed meanwhile, and whoever puts something there sees it
				r.ways[k].has(f, s.now[f.Path], h)
			}
			return nil
		})
	}
	return group.Wait()
}

// has notes the headers of what is live: with other ones than the file's it is put again, from what there is. What can't be
// copied stays as it is.
func (w *way) has(f file, is object, h headers) {
	unlike := f.unlike(h)
	if unlike == "" {
		return
	}
	other := *w
	other.live, other.unlike = false, unlike
	if other.can(f) != "" { // the version with the headers is archived
		other.version, other.etag, other.class = is.version, is.etag, is.class
	}
	if other.can(f) == "" {
		*w = other
	}
}
