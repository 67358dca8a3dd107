package planfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// modelHash is a plan's id and hash as the words of RFC 8785 and of the package comment say it, written without their code.
func modelHash(plan any) (id, hash string) {
	var doc map[string]any
	loose, _ := json.Marshal(plan) // compared plans can be written
	d := json.NewDecoder(bytes.NewReader(loose))
	d.UseNumber()
	_ = d.Decode(&doc)
	sum := func() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(modelJSON(doc)))) }
	id = fmt.Sprint(doc["id"]) + "." + sum()[:16]
	doc["id"] = id
	return id, sum()
}

func modelJSON(v any) string {
	switch v := v.(type) {
	case nil:
		return "[]" // only lists may be absent
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		f, _ := v.Float64()
		if f != 0 && (f < 1e-6 && f > -1e-6 || f >= 1e21 || f <= -1e21) {
			return strings.Replace(strconv.FormatFloat(f, 'e', -1, 64), "e-0", "e-", 1)
		}
		return strconv.FormatFloat(f, 'f', -1, 64)
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			v = at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
		}
		b := ""
		for _, r := range v {
			s := string(r)
			if i := strings.IndexRune("\"\\\b\t\n\f\r", r); i >= 0 {
				s = `\` + `"\btnfr`[i:i+1]
			} else if r < ' ' {
				s = fmt.Sprintf(`\u%04x`, r)
			}
			b += s
		}
		return `"` + b + `"`
	}
	var parts []string
	object, ok := v.(map[string]any)
	if !ok {
		for _, e := range v.([]any) {
			parts = append(parts, modelJSON(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for _, k := range slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	}) {
		parts = append(parts, modelJSON(k)+":"+modelJSON(object[k]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
