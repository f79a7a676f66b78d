package decode_test

import (
	"fmt"

	"mpproxy/decode"
	"mpproxy/traffic"
)

func Example() {
	head := "GET /SMS_MP/.sms_pol?{C83A61F0-94D7-4B2E-A5C1-6E0F7D38B912}.3_00 HTTP/1.1\r\n\r\n"
	request := decode.Decode(decode.Source{Head: traffic.ParseHead([]byte(head))}, decode.Summary)
	reply := decode.Decode(decode.Source{
		Head:    traffic.ParseHead([]byte("HTTP/1.1 403 Client certificate required\r\n\r\n")),
		Request: request,
	}, decode.Summary)
	row := decode.Join(request, reply)
	fmt.Println(row.Kind)
	fmt.Println(row.Long)
	// Output:
	// policy-body
	// policy body {C83A61F0} v3.00 → 403 Client certificate required
}
