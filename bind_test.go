package astern_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

func TestBind(t *testing.T) {
	c := astern.Check{Name: "health", Each: true, Host: "{member}",
		HTTP: &astern.HTTPCheck{URL: "http://{address}/v/{revision}?rev={revision}", Body: `{"m":"{member}"}`, Contains: "{revision}",
			Headers: map[string]string{"Host": "{member}"}, HeaderEquals: map[string]string{"X": "{revision}"},
			JSONEquals: map[string]string{"version": "{revision}"}, Status: []int{200},
			SecretHeaders: map[string]astern.Secret{"A": {Env: "{member}"}}},
		TCP:     &astern.TCPCheck{Address: "{address}"},
		Command: &astern.CommandCheck{Argv: []string{"./smoke.sh", "{revision} {member}"}, Env: map[string]string{"M": "{member}"}, FailOn: []int{1}}}
	got, err := c.Bind(astern.Values{Revision: "v1.2.3-b7", Member: "shop-1", Address: "[::1]:8081", Version: "7"})
	if err != nil {
		t.Fatal(err)
	}
	want := astern.Check{Name: "health", Each: true, Host: "shop-1", Member: "shop-1",
		HTTP: &astern.HTTPCheck{URL: "http://[::1]:8081/v/v1.2.3-b7?rev=v1.2.3-b7", Body: `{"m":"shop-1"}`, Contains: "v1.2.3-b7",
			Headers: map[string]string{"Host": "shop-1"}, HeaderEquals: map[string]string{"X": "v1.2.3-b7"},
			JSONEquals: map[string]string{"version": "v1.2.3-b7"}, Status: []int{200},
			SecretHeaders: map[string]astern.Secret{"A": {Env: "{member}"}}},
		TCP:     &astern.TCPCheck{Address: "[::1]:8081"},
		Command: &astern.CommandCheck{Argv: []string{"./smoke.sh", "v1.2.3-b7 shop-1"}, Env: map[string]string{"M": "shop-1"}, FailOn: []int{1}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got.HTTP.JSONEquals["version"] = "changed"
	got.Command.Argv[0] = "changed"
	if c.HTTP.JSONEquals["version"] != "{revision}" || c.Command.Argv[0] != "./smoke.sh" {
		t.Error("the bound check shares memory with the declared one")
	}
}

func TestBindRefuses(t *testing.T) {
	c := astern.Check{Name: "health", Address: "production/shop", HTTP: &astern.HTTPCheck{URL: "http://{address}/{member}/{revision}"}}
	for _, bad := range []string{"", "a@b", "a/b", "a?b", "a#b", "a b", "a\\b", "10.0.0.1:0", "10.0.0.1:99999", "http://a", "a:b:c", "[::1", "-a", "a\n", "{member}",
		"a%2f", strings.Repeat("a", 300)} {
		if _, err := c.Bind(astern.Values{Revision: "v1", Member: "m", Address: bad}); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("address %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "../x", "a..b", "-rf", "v1;rm", "$(x)", "a b", "{member}", "v1/x", strings.Repeat("v", 200)} {
		if _, err := c.Bind(astern.Values{Revision: bad, Member: "m", Address: "a:1"}); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("revision %q: %v", bad, err)
		}
		if _, err := c.Bind(astern.Values{Revision: "v1", Member: bad, Address: "a:1"}); bad != "a..b" && astern.CodeOf(err) != astern.Invalid {
			t.Errorf("member %q: %v", bad, err)
		}
	}
	if _, err := (astern.Check{Name: "x", Each: true, TCP: &astern.TCPCheck{Address: "a:1"}}).Bind(astern.Values{Revision: "v1"}); astern.CodeOf(err) != astern.Invalid {
		t.Error("a check for each member was bound to none")
	}
	if _, err := (astern.Check{Name: "x", HTTP: &astern.HTTPCheck{URL: "ftp://a/"}}).Bind(astern.Values{Revision: "v1"}); astern.CodeOf(err) != astern.Invalid {
		t.Error("a URL that is not HTTP was bound")
	}
	asks := astern.Check{Name: "x", Command: &astern.CommandCheck{Argv: []string{"aws", "lambda", "invoke", "--qualifier", "{version}"}}}
	if got, err := asks.Bind(astern.Values{Revision: "v1", Version: "41"}); err != nil || got.Command.Argv[4] != "41" || !asks.Uses("{version}") || asks.Uses("{revision}") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := asks.Bind(astern.Values{Revision: "v1"}); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("without a version: %v", err)
	}
	if _, err := (astern.Check{Name: "x", TCP: &astern.TCPCheck{Address: "a:1"}}).Bind(astern.Values{}); err != nil {
		t.Errorf("values that are not used are not needed: %v", err)
	}
}
