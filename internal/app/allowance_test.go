package app

import (
	"testing"

	"github.com/astern-dev/astern"
)

// A permission is asked for on the very resource that was seen, so that a policy which allows it there alone is enough and one that is
// missing is told as such: not on the application's environment where the application is meant.
func TestPermissionsAreAskedOnWhatWasSeen(t *testing.T) {
	const at = "arn:aws:appconfig:eu-central-1:123456789012:"
	s := astern.State{Values: map[string]astern.Value{
		"arn/application":   {Text: at + "application/abc1234"},
		"arn/environment":   {Text: at + "application/abc1234/environment/def5678"},
		"arn/configuration": {Text: at + "application/abc1234/environment/def5678/configuration/ghi9012"},
		"arn/strategy":      {Unknown: "it could not be read"},
	}}
	for pattern, want := range map[string]string{
		at + "application/*":                                 "application/abc1234",
		at + "application/*/environment/*":                   "application/abc1234/environment/def5678",
		at + "application/*/environment/*/configuration/*":   "application/abc1234/environment/def5678/configuration/ghi9012",
		at + "application/*/environment/*/deployment/*":      "application/*/environment/*/deployment/*",
		at + "deploymentstrategy/*":                          "deploymentstrategy/*",
		"arn:aws:ecs:eu-central-1:123456789012:service/m/s*": "",
	} {
		if want != "" {
			want = at + want
		} else {
			want = pattern
		}
		if got := resourceOf(astern.Permission{Resource: pattern}, s); got != want {
			t.Errorf("%s is asked on %s, want %s", pattern, got, want)
		}
	}
	one := astern.State{Values: map[string]astern.Value{"arn": {Text: "arn:aws:ecs:eu-central-1:123456789012:service/m/s"}}}
	if got := resourceOf(astern.Permission{Resource: "arn:aws:ecs:*:*:service/m/s"}, one); got != one.Values["arn"].Text {
		t.Errorf("it is asked on %s", got)
	}
	if got := resourceOf(astern.Permission{Resource: "arn:aws:s3:::b/*", Example: "arn:aws:s3:::b/index.html"}, one); got != "arn:aws:s3:::b/index.html" {
		t.Errorf("it is asked on %s", got)
	}
}
