"""A pull in a process of its own, to be killed: arguments are the server's address and the history's folder."""

from __future__ import annotations

import sys

from metric_server import NOW, system_of

from tocsin.cloud.session import connect
from tocsin.history.cloudwatch import CloudWatch
from tocsin.history.gaps import end_of_pull
from tocsin.history.pull import pull
from tocsin.history.store import open_store

if __name__ == "__main__":
    source = CloudWatch(connect("eu-west-1", endpoint_url=sys.argv[1]))
    systems = [system_of(name, slos=9) for name in ("shop", "other")]
    pull(source, open_store(sys.argv[2]), systems, None, end_of_pull(NOW), NOW)
