package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts and other tests run this binary as mpproxy.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mpproxy": main})
}

// TestScripts runs testdata/script: what a user types, and what comes of it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			samples, err := os.Getwd()
			if err != nil {
				return err
			}
			e.Setenv("SAMPLES", samples+"/../../testdata/samples")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("LANG", "C.UTF-8")
			return nil
		},
	})
}
