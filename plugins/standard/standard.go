package standard

import (
	_ "github.com/sluiceproxy/sluice/plugins/accesslog"
	_ "github.com/sluiceproxy/sluice/plugins/bodylimit"
	_ "github.com/sluiceproxy/sluice/plugins/breaker"
	_ "github.com/sluiceproxy/sluice/plugins/compress"
	_ "github.com/sluiceproxy/sluice/plugins/cors"
	_ "github.com/sluiceproxy/sluice/plugins/headers"
	_ "github.com/sluiceproxy/sluice/plugins/redirect"
	_ "github.com/sluiceproxy/sluice/plugins/requestid"
	_ "github.com/sluiceproxy/sluice/plugins/respond"
	_ "github.com/sluiceproxy/sluice/plugins/retry"
	_ "github.com/sluiceproxy/sluice/plugins/rewrite"
	_ "github.com/sluiceproxy/sluice/plugins/timeout"
)
