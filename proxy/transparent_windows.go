package proxy

import (
	"net"
	"syscall"
)

func originalDestination(net.Conn) (string, error) { return "", errNoOriginal }

func allowTransparent(_, _ string, _ syscall.RawConn) error { return nil }
