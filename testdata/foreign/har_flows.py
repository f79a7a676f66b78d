"""An addon for mitmproxy before 10.1, which has no reader of its own: loads the
entries of an HTTP archive as flows.

    mitmdump -n -s har_flows.py --set har=FILE
"""

import asyncio
import base64
import json
from datetime import datetime

from mitmproxy import connection, ctx, http


def flow_of(entry):
    begun = datetime.fromisoformat(entry["startedDateTime"].replace("Z", "+00:00")).timestamp()
    sent, got = entry["request"], entry["response"]
    flow = http.HTTPFlow(
        connection.Client(("127.0.0.1", 0), ("127.0.0.1", 0), begun),
        connection.Server((entry.get("serverIPAddress", "127.0.0.1"), 443)),
    )
    flow.request = http.Request.make(
        sent["method"], sent["url"], base64.b64decode(sent.get("postData", {}).get("text", "")), fields(sent)
    )
    flow.request.timestamp_start = flow.request.timestamp_end = begun
    flow.response = http.Response.make(got["status"], base64.b64decode(got["content"].get("text", "")), fields(got))
    flow.response.timestamp_end = begun + entry["time"] / 1000
    return flow


def fields(message):
    return http.Headers((f["name"].encode(), f["value"].encode()) for f in message["headers"])


class Archive:
    def load(self, loader):
        loader.add_option("har", str, "", "The archive.")

    def running(self):
        self.task = asyncio.get_event_loop().create_task(self.read())

    async def read(self):
        try:
            with open(ctx.options.har, encoding="utf-8") as f:
                entries = json.load(f)["log"]["entries"]
            for entry in entries:
                await ctx.master.load_flow(flow_of(entry))
        finally:
            ctx.master.shutdown()


addons = [Archive()]
