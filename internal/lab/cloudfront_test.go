package lab

import (
	"testing"
	"time"
)

const makeDistribution = `
cf = client("cloudfront")
def config(comment="", enabled=True):
    return {"CallerReference": "d1", "Comment": comment, "Enabled": enabled, "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": "site.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}]},
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "MinTTL": 0, "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}}}
def invalidate(ref, *paths):
    return cf.create_invalidation(DistributionId=id, InvalidationBatch={"CallerReference": ref, "Paths": {"Quantity": len(paths), "Items": list(paths)}})["Invalidation"]
`

// Invalidations are under way for a while, then done in the spelling that botocore's waiter waits for.
func TestInvalidations(t *testing.T) {
	a := start(t)
	a.wantPython(`
InProgress InProgress
True InProgress
400 InvalidationBatchAlreadyExists
400 InvalidArgument
False
2
404 NoSuchDistribution`, makeDistribution+`
id = cf.create_distribution(DistributionConfig=config())["Distribution"]["Id"]
one = invalidate("r1", "/index.html", "/a*"); print(one["Status"], cf.get_invalidation(DistributionId=id, Id=one["Id"])["Invalidation"]["Status"])
again = invalidate("r1", "/index.html", "/a*"); print(again["Id"] == one["Id"], again["Status"])
print(refused(lambda: invalidate("r1", "/other"))[:34]); print(refused(lambda: invalidate("r2", "other"))[:19])
print(invalidate("r3", "/index.html", "/a*")["Id"] == one["Id"])
print(cf.list_invalidations(DistributionId=id)["InvalidationList"]["Quantity"])
id = "ENONE"; print(refused(lambda: invalidate("r9", "/"))[:22])`)
	if _, err := a.Step(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	a.wantPython("['Completed', 'Completed'] waited Deployed", `
cf = client("cloudfront"); d = cf.list_distributions()["DistributionList"]["Items"][0]
all = cf.list_invalidations(DistributionId=d["Id"])["InvalidationList"]["Items"]
cf.get_waiter("invalidation_completed").wait(DistributionId=d["Id"], Id=all[0]["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 1})
print([i["Status"] for i in all], "waited", d["Status"])`)
}

// A distribution changes only for whoever knows it as it is, and is rolled out for a while.
func TestDistributionETags(t *testing.T) {
	a := start(t)
	a.wantPython(`
InProgress True
412 PreconditionFailed
first
True second InProgress
412 PreconditionFailed
400 InvalidIfMatchVersion
409 DistributionNotDisabled
412 PreconditionFailed
404 NoSuchDistribution
404 NoSuchDistribution`, makeDistribution+`
r = cf.create_distribution(DistributionConfig=config("first")); id, e1 = r["Distribution"]["Id"], r["ETag"]
print(r["Distribution"]["Status"], cf.get_distribution_config(Id=id)["ETag"] == e1 == cf.get_distribution(Id=id)["ETag"])
def code(f): return " ".join(refused(f).replace(":", "").split()[:2])
print(code(lambda: cf.update_distribution(Id=id, IfMatch="ESTALE", DistributionConfig=config("wrong"))))
print(cf.get_distribution_config(Id=id)["DistributionConfig"]["Comment"])
e2 = cf.update_distribution(Id=id, IfMatch=e1, DistributionConfig=config("second"))["ETag"]
d = cf.get_distribution(Id=id); print(e2 != e1 and d["ETag"] == e2, d["Distribution"]["DistributionConfig"]["Comment"], d["Distribution"]["Status"])
print(code(lambda: cf.update_distribution(Id=id, IfMatch=e1, DistributionConfig=config("third"))))
print(code(lambda: cf.update_distribution(Id=id, DistributionConfig=config("third"))))
print(code(lambda: cf.delete_distribution(Id=id, IfMatch=e2)))
e3 = cf.update_distribution(Id=id, IfMatch=e2, DistributionConfig=config("off", False))["ETag"]
print(code(lambda: cf.delete_distribution(Id=id, IfMatch=e2)))
cf.delete_distribution(Id=id, IfMatch=e3)
print(code(lambda: cf.get_distribution(Id=id))); print(code(lambda: cf.update_distribution(Id=id, IfMatch=e3, DistributionConfig=config())))`)
}

// A list tells of each distribution what AWS says a summary holds: where it comes from above all.
func TestDistributionSummaries(t *testing.T) {
	a := start(t)
	id := a.python(makeDistribution + `
c = config("a <b> & c"); c["Aliases"] = {"Quantity": 1, "Items": ["www.example.com"]}
one = cf.create_distribution(DistributionConfig=c)["Distribution"]["Id"]
c = config("off", False); c["CallerReference"] = "d2"; c["Origins"]["Items"][0]["DomainName"] = "other.s3.eu-central-1.amazonaws.com"
cf.create_distribution(DistributionConfig=c); print(one)`)
	query := `DistributionList.Items[].[Id=='` + id + `', Comment, Enabled, Origins.Items[0].DomainName, Aliases.Items[0], DefaultCacheBehavior.TargetOriginId, Status]`
	if got, want := a.aws("cloudfront", "list-distributions", "--query", query, "--output", "text"),
		"True\ta <b> & c\tTrue\tsite.s3.amazonaws.com\twww.example.com\to\tInProgress\n"+
			"False\toff\tFalse\tother.s3.eu-central-1.amazonaws.com\tNone\to\tInProgress"; got != want {
		t.Errorf("the CLI lists\n%s\nnot\n%s", got, want)
	}
	// All members that botocore's model requires are there, and say what a look at the distribution itself says.
	a.wantPython("[] []", makeDistribution+`
need = cf.meta.service_model.shape_for("DistributionSummary").required_members
other = []; missing = []
for d in cf.list_distributions()["DistributionList"]["Items"]:
    r = cf.get_distribution(Id=d["Id"]); whole = {**r["Distribution"]["DistributionConfig"], **r["Distribution"], "ETag": r["ETag"], "Staging": False}
    missing += [k for k in need if k not in d]
    other += [k for k in d if d[k] != whole[k]]
print(missing, other)`)
}
