package standard_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/core"
	_ "github.com/sluiceproxy/sluice/plugins/standard"
)

func TestTheStandardFiltersAreRegistered(t *testing.T) {
	for _, name := range []string{
		"access_log", "body_limit", "breaker", "compress", "cors", "headers", "redirect",
		"request_id", "respond", "retry", "rewrite", "timeout",
	} {
		if core.KindByName(name) == nil {
			t.Errorf("filter %s is not registered", name)
		}
	}
}
