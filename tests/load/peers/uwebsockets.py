"""Publishes the bodies of POST /pub/{channel} to the WebSockets at /sub/{channel}."""

import sys

from socketify import App, AppListenOptions, CompressOptions, OpCode

app = App()


def upgrade(res, req, context):
    res.upgrade(
        req.get_header("sec-websocket-key"),
        req.get_header("sec-websocket-protocol"),
        req.get_header("sec-websocket-extensions"),
        context,
        req.get_parameter(0),
    )


def publish(res, req):
    channel = req.get_parameter(0)
    pieces = []

    def take(res, piece, is_last, *_):
        pieces.append(bytes(piece) if isinstance(piece, (bytes, bytearray, memoryview)) else piece.encode())
        if is_last:
            # Afterwards, so that messages that come together are written together.
            app.loop.loop.call_soon(app.publish, channel, b"".join(pieces).decode(), OpCode.TEXT)
            res.end("")

    res.on_data(take)


app.ws(
    "/sub/:channel",
    {
        "compression": CompressOptions.DISABLED,
        "max_backpressure": 64 * 1024 * 1024,
        "upgrade": upgrade,
        "open": lambda ws: ws.subscribe(ws.get_user_data()),
    },
)
app.post("/pub/:channel", publish)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"))
app.run()
