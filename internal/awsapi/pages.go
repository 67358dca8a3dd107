package awsapi

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/astern-dev/astern"
)

// maxPages bounds every list.
const maxPages = 10_000

// Pages asks for one page of a list after the other: ask gets nil and then the token of the next page, and returns that of
// the one after it. The SDK's paginators do the same, but take the client as an interface, with which the linker keeps
// every operation of the service: 17 MB for the few kinds there are.
func Pages(ask func(token *string) (next *string, err error)) error {
	var token *string
	for range maxPages {
		next, err := ask(token)
		if err != nil || aws.ToString(next) == "" {
			return err
		}
		if token != nil && *token == *next {
			break
		}
		token = next
	}
	return astern.Errorf(astern.Internal, "a list of the cloud does not end")
}
