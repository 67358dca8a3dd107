// Package canonical writes values in the one form of JSON that hashes and signatures are taken over (RFC 8785).
package canonical

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON returns the value as canonical JSON. It fails for what JSON can't hold, and for a name that comes twice or text that is
// not UTF-8 in what writes itself. A number that writes itself and is beyond float64 becomes the largest one there is: whoever
// hashes such values has them checked before.
func JSON(v any) ([]byte, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if err := (*jsontext.Value)(&doc).Canonicalize(); err != nil {
		return nil, err
	}
	return doc, nil
}
