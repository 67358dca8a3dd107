package awstest

import (
	"net/http"
)

// copyRefused reports whether the condition of a CopyObject on what is at its key does not hold: moto asks it of PutObject
// alone.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax
func (a *Account) copyRefused(r *http.Request) bool {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	if r.Method != http.MethodPut || r.Header.Get("X-Amz-Copy-Source") == "" || match == "" && none == "" {
		return false
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodHead, a.Moto+r.URL.EscapedPath(), nil)
	if err != nil {
		return false
	}
	ask.Header.Set("Authorization", r.Header.Get("Authorization"))
	reply, err := a.client.Do(ask)
	if err != nil {
		return false
	}
	reply.Body.Close()
	there := reply.StatusCode == http.StatusOK
	return none != "" && there || match != "" && (!there || reply.Header.Get("ETag") != match)
}
