package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is "mpproxy version".
type versionCommand struct {
	JSON bool `help:"As JSON."`
}

// versionJSON is what "version --json" prints.
type versionJSON struct {
	Schema   string `json:"schema"`
	V        int    `json:"v"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
}

// build is what this program was made of.
func build() versionJSON {
	v := versionJSON{Schema: "mpproxy.version", V: 1, Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

// Run prints the version.
func (c *versionCommand) Run(_ context.Context, e *env) error {
	v := build()
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(v)
	}
	_, err := fmt.Fprintf(e.stdout, "mpproxy %s %s, %s, %s\n", v.Version, v.Revision, v.Go, v.OS)
	return err
}
