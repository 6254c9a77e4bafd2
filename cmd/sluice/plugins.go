package main

// The filters that this build knows. A build of your own adds lines.
import (
	_ "github.com/sluiceproxy/sluice/plugins/standard"
)
