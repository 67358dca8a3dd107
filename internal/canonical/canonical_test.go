package canonical_test

import (
	"encoding/json"
	"testing"

	"github.com/astern-dev/astern/internal/canonical"
)

// TestJSON holds it against the examples of RFC 8785, sections 3.2.2 to 3.2.4, and some of appendix B.
func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`: `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}`: "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
		`[-0, 5e-324, 9007199254740992, 295147905179352825856, 1e23, 0.000001, 1e-7]`:              `[0,5e-324,9007199254740992,295147905179352830000,1e+23,0.000001,1e-7]`,
		`"<&>\u2028"`: "\"<&>\u2028\"",
	} {
		got, err := canonical.JSON(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%s\nis   %s (%v)\nwant %s", in, got, err, want)
		}
	}
	for what, v := range map[string]any{
		"a channel":              make(chan int),
		"text that is not UTF-8": json.RawMessage("\"\xff\""),
		"a name twice":           json.RawMessage(`{"a":1,"a":2}`),
		"half of a surrogate":    json.RawMessage(`"\ud83d"`),
	} {
		if got, err := canonical.JSON(v); err == nil {
			t.Errorf("%s is taken as %s", what, got)
		}
	}
}
