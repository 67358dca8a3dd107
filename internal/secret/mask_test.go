package secret_test

import (
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/secret"
)

// What looks like a secret goes, and what stands around it stays; what is none stays as it is.
func TestMask(t *testing.T) {
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	for text, want := range map[string]string{
		"connect postgres://shop:hunter2@db:5432/shop failed":                         "connect postgres://shop:<secret>@db:5432/shop failed",
		"redis://:hunter2@cache:6379":                                                 "redis://:<secret>@cache:6379",
		"GET /v1 Authorization: Bearer abcdef0123456789":                              "GET /v1 Authorization: Bearer <secret>",
		"session " + jwt + " expired":                                                 "session <secret> expired",
		"key AKIAIOSFODNN7EXAMPLE may not":                                            "key <secret> may not",
		"DB_PASSWORD=hunter2 HOST=db":                                                 "DB_PASSWORD=<secret> HOST=db",
		`{"user":"shop","password":"hunter 2","port":1}`:                              `{"user":"shop","password":"<secret>","port":1}`,
		`{"token": 123456, "n": 2}`:                                                   `{"token": <secret>, "n": 2}`,
		`"{\"password\":\"hunter2\",\"n\":1}"`:                                        `"{\"password\":\"<secret>\",\"n\":1}"`,
		`{'api_key': 'hunter2'}`:                                                      `{'api_key': '<secret>'}`,
		"aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY x":            "aws_secret_access_key=<secret> x",
		"https://api.example.com/?token=hunter2&page=2":                               "https://api.example.com/?token=<secret>&page=2",
		"password: hunter2":                                                           "password: <secret>",
		"ghp_" + strings.Repeat("a1", 18) + " was taken":                              "<secret> was taken",
		"xoxb-1234567890-abcdef":                                                      "<secret>",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter": "<secret>\nafter",
		"-----BEGIN PRIVATE KEY-----\nMIIE":                                           "<secret>",
		"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPx":                           "aws_secret_access_key = <secret>",
		"DB_PASSWORD: correcthorse":                                                   "DB_PASSWORD: <secret>",
		"  client_secret: abcdef1":                                                    "  client_secret: <secret>",
		"{ user: 'shop', password: 'hunter2' }":                                       "{ user: 'shop', password: '<secret>' }",
		`password: "hunter2"`:                                                         `password: "<secret>"`,
		"{User:shop Password:hunter2}":                                                "{User:shop Password:<secret>}",
		`{"password"=>"hunter2"}`:                                                     `{"password"=>"<secret>"}`,
		`{:password=>"hunter2"}`:                                                      `{:password=>"<secret>"}`,
		"[password] => hunter2":                                                       "[password] => <secret>",
		"<password>hunter2</password>":                                                "<password><secret></password>",
		"mysql --password hunter2 shop":                                               "mysql --password <secret> shop",
		"DB_PASS=hunter2":                                                             "DB_PASS=<secret>",
		"Authorization: Basic c2hvcDpw":                                               "Authorization: Basic <secret>",
		"DB_PASSWORD=aB3)xY9&zz next":                                                 "DB_PASSWORD=<secret> next",
		"postgres://shop:p@ss@db":                                                     "postgres://shop:<secret>@db",
		`parse "postgres://shop:pa/ss@db": invalid port`:                              `parse "postgres://shop:<secret>@db": invalid port`,
		`{"password":"ab\"cdefgh","n":1}`:                                             `{"password":"<secret>","n":1}`,
		"1\u017f://u:p@h":                                                             "1\u017f://u:<secret>@h",
		"x\u017fecret: abcde1":                                                        "x\u017fecret: abcde1",
		"MIIEowIBAAKCAQEA7bq\nMIIEowIBAAKCAQEA7bq/\n-----END RSA PRIVATE KEY-----":    "<secret>",
		"http://proxy:8080/f?u=https://user:hunter2@db":                               "http://proxy:8080/f?u=https://user:<secret>@db",
		"token_type=bearer;password=hunter2x":                                         "token_type=bearer;password=<secret>",
		"SecretName=db,Password=hunter2x":                                             "SecretName=db,Password=<secret>",
		"max_tokens=4096,api_key=abcdef123456":                                        "max_tokens=4096,api_key=<secret>",
		"token_endpoint=https://idp.example.com/o;client_secret=hunter2x":             "token_endpoint=https://idp.example.com/o;client_secret=<secret>",
		"password=abc@":                                                               "password=<secret>",
	} {
		if got := secret.Mask(text); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
	for _, text := range []string{"", "token expired", "the secret prod/db was not found", "password: wrong", "Basic usage: run it", "Basic authentication failed", "12 tokens of 40 used",
		"oauth2: cannot fetch token: 401 Unauthorized", "failed to fetch secret: 503 Service Unavailable", `secretName="db-tls" not found`, `{"SecretId":"prod/db"}`,
		"secret=arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-AbCdEf", "token_url=https://idp.example.com/oauth", "password_file=/run/secrets/db",
		"max_tokens=4096", "fetching token: oauth2: no such host", "--secret-name prod/db", "password=<secret>",
		"https://example.com:8080/a@b", "user@example.com: no such mailbox", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-AbCdEf", "2026-11-22T02:00:00Z [ERROR] no such price"} {
		if got := secret.Mask(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if long := strings.Repeat("password=a ", 5_000); strings.Contains(secret.Mask(long), "=a") {
		t.Error("something of a long text stays")
	}
}
