package respond_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/sdk/proxytest"
)

func TestTheExampleAnswersWithoutAnUpstream(t *testing.T) {
	text, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1))
	for args, due := range map[string]string{
		"/healthz":   "HTTP/1.1 204 No Content\r\n\r\n",
		"/":          "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nRetry-After: 60\r\nContent-Length: 26\r\n\r\n<h1>Back in a minute</h1>\n",
		"/ --head":   "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nRetry-After: 60\r\nContent-Length: 26\r\n\r\n",
		"/x -d a=bc": "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nRetry-After: 60\r\nContent-Length: 26\r\n\r\n<h1>Back in a minute</h1>\n",
	} {
		path, options, _ := strings.Cut(args, " ")
		command := append([]string{"-si", p.URL("web") + path}, strings.Fields(options)...)
		out, err := exec.Command("curl", command...).Output()
		if err != nil {
			t.Fatalf("curl %s: %v", args, err)
		}
		if string(out) != due {
			t.Errorf("curl %s:\n%q\ndue\n%q", args, out, due)
		}
	}
}
