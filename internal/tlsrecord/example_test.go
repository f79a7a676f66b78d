package tlsrecord_test

import (
	"fmt"

	"mpproxy/internal/tlsrecord"
)

// An agent whose software speaks HTTP on the port for TLS.
func ExampleParse() {
	client := []byte("CCM_POST /ccm_system/request HTTP/1.1\r\n")
	server := []byte{21, 3, 1, 0, 2, 2, 10}
	t := tlsrecord.Parse(client, server)
	fmt.Println("client:", t.Client.Looks, "-", t.Client.RestLine)
	for _, m := range t.Server.Alerts() {
		fmt.Println("server:", m)
	}
	fmt.Println(t.Stage())
	// Output:
	// client: HTTP request - CCM_POST /ccm_system/request HTTP/1.1
	// server: alert fatal 10 unexpected_message
	// no handshake
}
