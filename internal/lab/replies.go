package lab

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
)

// errorReply is a refusal in the protocol of the call. The code goes without namespace, as it does in the service models.
//
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization and its neighbours
func errorReply(c *Call, status int, code, message string) Reply {
	switch c.protocol {
	case "query", "rest-xml":
		if c.Service == "s3" {
			return xmlReply(c, status, fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message><Resource>%s</Resource><RequestId>%s</RequestId></Error>",
				escaped(code), escaped(message), escaped(c.Path), requestID(c)))
		}
		kind := "Sender"
		if status >= 500 {
			kind = "Receiver"
		}
		return xmlReply(c, status, fmt.Sprintf("<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
			kind, escaped(code), escaped(message), requestID(c)))
	}
	r := jsonReply(c, status, map[string]string{"__type": code, "message": message, "Message": message})
	r.Header.Set("X-Amzn-Errortype", code)
	return r
}

// jsonReply is v as JSON.
func jsonReply(c *Call, status int, v any) Reply {
	b, err := json.Marshal(v)
	if err != nil { // only for values that no correction makes
		status, b = http.StatusInternalServerError, []byte(`{"__type":"InternalFailure"}`)
	}
	kind := "application/json"
	if c.protocol == "json" {
		kind = "application/x-amz-json-1.1"
	}
	return Reply{status, http.Header{"Content-Type": {kind}, "X-Amzn-Requestid": {requestID(c)}}, b}
}

// xmlReply is a document of the rest-xml or query protocol.
func xmlReply(c *Call, status int, document string) Reply {
	return Reply{status, http.Header{"Content-Type": {"text/xml"}, "X-Amzn-Requestid": {requestID(c)}}, []byte(xml.Header + document)}
}

// escaped is a text for an XML document.
func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// requestID is unique within the lab and looks as AWS's do.
func requestID(c *Call) string {
	return fmt.Sprintf("1ab00000-0000-4000-8000-%012x", c.Seq)
}
