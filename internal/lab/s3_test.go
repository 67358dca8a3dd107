package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// Rules take objects away by the lab's clock, and say so before.
func TestLifecycle(t *testing.T) {
	a := start(t)
	a.wantPython(`
True ["old"]
[]`, `
import email.utils, datetime, re
s3 = client("s3"); s3.create_bucket(Bucket="site")
def rule(id, **r): return {"ID": id, "Status": "Enabled", **r}
s3.put_bucket_lifecycle_configuration(Bucket="site", LifecycleConfiguration={"Rules": [
  rule("old", Filter={"Prefix": "old/"}, Expiration={"Days": 30}), rule("soon", Filter={"Prefix": "old/soon/"}, Expiration={"Days": 2}),
  rule("tag", Filter={"And": {"Prefix": "", "Tags": [{"Key": "keep", "Value": "no"}]}}, Expiration={"Days": 10}),
  {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]})
for k in ("old/a", "old/soon/b c/ü", "new"): s3.put_object(Bucket="site", Key=k, Body=b"x")
s3.put_object(Bucket="site", Key="tagged", Body=b"x", Tagging="keep=no"); s3.put_object(Bucket="site", Key="kept", Body=b"x", Tagging="keep=yes")
h = s3.head_object(Bucket="site", Key="old/a")["Expiration"]
when = email.utils.parsedate_to_datetime(re.search('expiry-date="([^"]+)"', h)[1])
now = datetime.datetime.now(datetime.timezone.utc)
print(30 <= (when - now).total_seconds() / 86400 <= 31 and (when.hour, when.minute) == (0, 0), re.findall('rule-id=("[^"]+")', h) and '["old"]')
print([k for k in ("new", "kept") if "Expiration" in s3.head_object(Bucket="site", Key=k)])`)
	keys := `print(sorted(o["Key"] for o in client("s3").list_objects_v2(Bucket="site").get("Contents", [])))`
	for _, c := range []struct {
		step time.Duration
		want string
	}{
		{day, "['kept', 'new', 'old/a', 'old/soon/b c/ü', 'tagged']"},
		{2 * day, "['kept', 'new', 'old/a', 'tagged']"},
		{8 * day, "['kept', 'new', 'old/a']"},
		{20 * day, "['kept', 'new']"},
	} {
		if _, err := a.Step(t.Context(), c.step); err != nil {
			t.Fatal(err)
		}
		a.wantPython(c.want, keys)
	}
	// Written after the steps, it has its whole time before it.
	a.python(`client("s3").put_object(Bucket="site", Key="old/late", Body=b"x")`)
	if gone, err := a.Expire(t.Context()); err != nil || len(gone) != 0 {
		t.Errorf("what was just written is taken away: %v, %v", gone, err)
	}
	if _, err := a.Step(t.Context(), 29*day); err != nil {
		t.Fatal(err)
	}
	a.wantPython("['kept', 'new', 'old/late']", keys)
}

// Where versions are kept, a rule puts a marker in front; those behind go by rules of their own.
func TestLifecycleOfVersions(t *testing.T) {
	a := start(t)
	a.python(`
s3 = client("s3"); s3.create_bucket(Bucket="site")
s3.put_bucket_versioning(Bucket="site", VersioningConfiguration={"Status": "Enabled"})
s3.put_bucket_lifecycle_configuration(Bucket="site", LifecycleConfiguration={"Rules": [
  {"ID": "behind", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 1}},
  {"ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 20}}]})
for i in range(4): s3.put_object(Bucket="site", Key="index.html", Body=b"%d" % i)
s3.put_object(Bucket="site", Key="tmp/x", Body=b"x")`)
	a.wantPython(`{'NoncurrentDays': 5, 'NewerNoncurrentVersions': 1}`,
		`print(client("s3").get_bucket_lifecycle_configuration(Bucket="site")["Rules"][0]["NoncurrentVersionExpiration"])`)
	show := `
r = client("s3").list_object_versions(Bucket="site"); s3 = client("s3")
print([s3.get_object(Bucket="site", Key=v["Key"], VersionId=v["VersionId"])["Body"].read().decode() for v in r.get("Versions", [])], len(r.get("DeleteMarkers", [])))`
	for _, c := range []struct {
		step time.Duration
		want string
	}{
		{4 * day, "['3', '2', '1', '0', 'x'] 0"},
		{2 * day, "['3', '2', 'x'] 0"},
		{15 * day, "['3', '2', 'x'] 1"},
		{6 * day, "['3', '2', 'x'] 1"}, // one version behind the marker is kept
	} {
		if _, err := a.Step(t.Context(), c.step); err != nil {
			t.Fatal(err)
		}
		a.wantPython(c.want, show)
	}
	if got := a.aws("s3api", "list-object-versions", "--bucket", "site", "--query", "length(Versions)"); got != "3" {
		t.Errorf("the CLI sees %s versions", got)
	}
}

// The rules themselves, on plain data.
func TestLifecycleRules(t *testing.T) {
	made := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct{ rule, key, want string }{
		{`<Expiration><Days>1</Days></Expiration>`, "a", "2026-03-03 00:00"},
		{`<Expiration><Date>2026-02-01T00:00:00Z</Date></Expiration>`, "a", "2026-02-01 00:00"},
		{`<Prefix>b/</Prefix><Expiration><Days>1</Days></Expiration>`, "a", "never"},
		{`<Filter><Prefix>a</Prefix></Filter><Expiration><Days>1</Days></Expiration>`, "a", "2026-03-03 00:00"},
		{`<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>`, "a", "2026-03-03 00:00"},
		{`<Filter><Tag><Key>k</Key><Value>w</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>`, "a", "never"},
		{`<Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter><Expiration><Days>1</Days></Expiration>`, "a", "2026-03-03 00:00"},
		{`<Filter><And><ObjectSizeLessThan>10</ObjectSizeLessThan></And></Filter><Expiration><Days>1</Days></Expiration>`, "a", "never"},
		{`<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>`, "a", "never"},
	} {
		lc, err := readLifecycle([]byte(`<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>` + c.rule + `</Rule></LifecycleConfiguration>`))
		if err != nil {
			t.Fatal(err)
		}
		got := "never"
		if at, _, ok := lc.expiry(object{c.key, made, 10, map[string]string{"k": "v"}}); ok {
			got = at.Format("2006-01-02 15:04")
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.rule, got, c.want)
		}
	}
	if got := midnight(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), 1); fmt.Sprint(got) != "2026-03-02 00:00:00 +0000 UTC" {
		t.Errorf("a day after midnight is %s", got)
	}
}

// A version that a rule has archived is there, and can't be read or copied.
func TestArchivedVersions(t *testing.T) {
	a := start(t)
	a.python(`
s3 = client("s3"); s3.create_bucket(Bucket="site")
s3.put_bucket_versioning(Bucket="site", VersioningConfiguration={"Status": "Enabled"})
s3.put_bucket_lifecycle_configuration(Bucket="site", LifecycleConfiguration={"Rules": [{"ID": "cold", "Status": "Enabled", "Filter": {"Prefix": ""},
  "NoncurrentVersionTransitions": [{"NoncurrentDays": 2, "StorageClass": "STANDARD_IA"}, {"NoncurrentDays": 5, "StorageClass": "GLACIER"}]}]})
for i in range(2): s3.put_object(Bucket="site", Key="in dex.html", Body=b"%d" % i)`)
	show := `
s3 = client("s3"); v = s3.list_object_versions(Bucket="site", Prefix="in dex")["Versions"][1]
def said(call, **k):
    try: r = call(Bucket="site", **k); return r.get("StorageClass") or "done"
    except Exception as e: return e.response["Error"]["Code"] if e.response["Error"]["Code"] != "404" else "gone"
named = {"Key": v["Key"], "VersionId": v["VersionId"]}
print(v["StorageClass"], said(s3.head_object, **named), said(s3.get_object, **named), said(s3.copy_object, Key="copy", CopySource={"Bucket": "site", **named}))
print(said(s3.get_object, Key=v["Key"]))`
	for _, c := range []struct {
		step time.Duration
		want string
	}{
		{day, "STANDARD done done done\ndone"},
		{3 * day, "STANDARD_IA STANDARD_IA STANDARD_IA done\ndone"},
		{3 * day, "GLACIER GLACIER InvalidObjectState ObjectNotInActiveTierError\ndone"},
	} {
		if _, err := a.Step(t.Context(), c.step); err != nil {
			t.Fatal(err)
		}
		a.wantPython(c.want, show)
	}
	version := a.aws("s3api", "list-object-versions", "--bucket", "site", "--prefix", "in dex", "--query", "Versions[?StorageClass=='GLACIER'].VersionId", "--output", "text")
	if _, err := a.tryAWS("s3api", "get-object", "--bucket", "site", "--key", "in dex.html", "--version-id", version, os.DevNull); err == nil || !strings.Contains(err.Error(), "InvalidObjectState") {
		t.Errorf("the CLI gets an archived version %q: %v", version, err)
	}
	if _, err := a.tryAWS("s3api", "restore-object", "--bucket", "site", "--key", "in dex.html", "--version-id", version, "--restore-request", "Days=1"); err == nil || !strings.Contains(err.Error(), "LabNotImplemented") {
		t.Errorf("restoring is not refused loudly: %v", err)
	}
}
