package awss3site

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// A site of many objects is recorded, left and gone back to, and each object that the release changed is what it was. Make test does it
// with fewer objects than make proof.
func TestManyObjects(t *testing.T) {
	t.Parallel()
	_, n := proof.Seeds(t, 200)
	x := newSite(t, true, nil)
	path := func(i uint64) string { return fmt.Sprintf("pages/%03d/a page, %d & grün.html", i%200, i) }
	put := func(every uint64, text string) {
		t.Helper()
		var group errgroup.Group
		group.SetLimit(16)
		for i := uint64(0); i < n; i += every {
			group.Go(func() error {
				_, err := x.clients.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: aws.String(path(i)), Body: strings.NewReader(fmt.Sprint(text, i))})
				return err
			})
		}
		x.must(group.Wait())
	}
	const some = 50
	put(1, "v3 ")
	x.upload(map[string]string{"index.html": "three"})
	x.carry(astern.VerbDeploy, "v3", nil)
	put(some, "v4 ")
	x.upload(map[string]string{"index.html": "four"})
	x.carry(astern.VerbDeploy, "v4", nil)

	began := time.Now()
	if e := x.evidence("v3"); strings.Contains(e, string(astern.Broken)+":") {
		t.Errorf("the way back: %s", e)
	}
	looked := time.Since(began)
	began = time.Now()
	x.carry(astern.VerbRollback, "v3", nil)
	took := time.Since(began)
	if got := x.text("index.html"); got != "three" {
		t.Errorf("index.html is %q", got)
	}
	for i := uint64(0); i < n; i += some {
		if got := x.text(path(i)); got != fmt.Sprint("v3 ", i) {
			t.Fatalf("%s is %q", path(i), got)
		}
	}
	if got := x.observe().Values["revision"].Text; got != "v3" {
		t.Errorf("it serves %q", got)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	proof.Figures(t, map[string]float64{"objects": float64(n), "changed": float64((n + some - 1) / some), "max_look_seconds": looked.Seconds(),
		"max_back_seconds": took.Seconds(), "max_heap_mb": float64(memory.HeapSys) / (1 << 20)})
}
