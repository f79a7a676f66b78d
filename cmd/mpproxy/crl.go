package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"mpproxy/internal/pki"
)

// crlServer serves an authority's revocation list at a URL, until its context
// ends. The list is made anew for each request, so it never runs out.
func crlServer(ctx context.Context, at string, ca *pki.CA) (serve func(context.Context) error, err error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" || u.Port() == "" || u.Path == "" {
		return nil, fmt.Errorf("%q is no place for a revocation list: write http://HOST:PORT/mpproxy.crl", at)
	}
	if ca == nil {
		return nil, errors.New("no certificates are minted here, so there is no revocation list to serve")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("serve the revocation list: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+u.Path, func(w http.ResponseWriter, _ *http.Request) {
		der, err := ca.CRL(time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/pkix-crl")
		_, _ = w.Write(der) // a peer that is gone needs no list
	})
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the revocation list: %w", err)
		}
		return nil
	}, nil
}
