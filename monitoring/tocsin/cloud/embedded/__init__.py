"""An AWS that runs inside this machine: an endpoint for the demonstration and the tests, and nothing the engine knows of.

The base is ministack, pinned to one version and started as a child process on 127.0.0.1; this folder adds what it
lacks: alarms with metric math and composite alarms evaluated by `tocsin.simulate`, mute rules, the metrics AWS services
publish, SNS with signatures, delivery policies and redriving, EventBridge's API destinations, a real PostgreSQL behind
RDS, and a clock that can run fast (see `clock`).

It answers on two ports, plain and over TLS (`tls`), and with ``iam=True`` decides as AWS who may do what (`iam`, `keys`,
`service_roles`, `http_api`).

    with embedded(clock_factor=60, iam=True) as aws:
        os.environ.update(aws.boto3_environment())
"""

from .start import Database, EmbeddedAws, embedded

__all__ = ["Database", "EmbeddedAws", "embedded"]
