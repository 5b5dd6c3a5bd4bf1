"""MLflow's own server, ``python -m tests.chaos.tracking_server PORT``; "away" and "back" tell it what to do."""

from __future__ import annotations

import logging
import sys
import threading

from mlflow.server import app
from werkzeug.serving import BaseWSGIServer, make_server


def start(port: int) -> BaseWSGIServer:
    """A server that answers."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main(port: int) -> None:
    """Serve until the standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = start(port)
    print("back", flush=True)
    for line in sys.stdin:
        if line.strip() == "away":
            server.shutdown()
            server.server_close()
        else:
            server = start(port)
        print(line, end="", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
