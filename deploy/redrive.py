"""Loads again the files whose loads were given up: ``python -m deploy.redrive ENV``, once the cause is mended.

What lies in LoaderDeadLetters is the word of a file, by Lambda or by ECS; the file itself is in the bucket.  Each is told
to the loader as S3 told it, and goes from the queue when Lambda has taken it.  A load that fails again comes back there;
a file that was loaded meanwhile is found done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tocsin.cloud.environments import Environment, read_environment
from tocsin.cloud.preparation import connect_to
from tocsin.cloud.session import asking
from tocsin.cloud.stacks import require_stack
from tocsin.errors import CloudError, TocsinError

ENVIRONMENTS = Path(__file__).resolve().parent / "environments.toml"
SYSTEM, QUEUE, FUNCTION = "data_pipeline", "LoaderDeadLettersUrl", "LoaderName"
HIDDEN_SECONDS = 300  # in which nobody else gets what is being looked at


def redrive(environment: Environment) -> Iterator[str]:
    """Send each again; yields a line for each.  Raises CloudError."""
    cloud = connect_to(environment)
    stack = require_stack(cloud, environment.of(SYSTEM).stack, f"run `make deploy ENV={environment.name}` first")
    for output in (QUEUE, FUNCTION):
        if output not in stack.outputs:
            raise CloudError(f"stack {stack.name} has no output {output}; run `make deploy ENV={environment.name}`")
    queue = {"QueueUrl": stack.outputs[QUEUE]}
    seen: set[str] = set()
    while True:
        with asking(f"read {queue['QueueUrl']}"):
            answer = cloud.client("sqs").receive_message(
                **queue, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN_SECONDS, WaitTimeSeconds=2
            )
        messages = [each for each in answer.get("Messages", ()) if each["MessageId"] not in seen]
        if not messages:
            break
        for message in messages:
            seen.add(message["MessageId"])
            event = event_of(message["Body"])
            if event is None:
                yield f"left in the queue, for it names no file: message {message['MessageId']}"
                continue
            with asking(f"invoke {stack.outputs[FUNCTION]}"):
                cloud.client("lambda").invoke(
                    FunctionName=stack.outputs[FUNCTION], InvocationType="Event", Payload=json.dumps(event).encode()
                )
                cloud.client("sqs").delete_message(**queue, ReceiptHandle=message["ReceiptHandle"])
            yield from (f"sent again: {record['s3']['object']['key']}" for record in event["Records"])
    if not seen:
        yield f"{environment.name}: no load was given up"


def event_of(body: str) -> Mapping[str, Any] | None:
    """The event of S3 that a message of the queue goes back to; None if it goes back to none.

    Sources: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"; Amazon ECS Developer
    Guide, "Amazon ECS task state change events".
    """
    try:
        told = json.loads(body)
        if "requestPayload" in told:
            event = told["requestPayload"]
            return event if all(record["s3"]["object"]["key"] for record in event["Records"]) else None
        (override,) = told["detail"]["overrides"]["containerOverrides"]
        given = {each["name"]: each["value"] for each in override["environment"]}
        # As S3 writes a key into an event; every other character of it stands for itself there.
        key = given["KEY"].replace("%", "%25").replace("+", "%2B").replace(" ", "+")
        what = {"bucket": {"name": given["BUCKET"]}, "object": {"key": key, "versionId": given["VERSION"]}}
        return {"Records": [{"eventTime": given["ARRIVED"], "s3": what}]}
    except (KeyError, TypeError, ValueError):
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0 done, 1 AWS refused, 2 wrong input."""
    parser = argparse.ArgumentParser(prog="python -m deploy.redrive", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("environment", metavar="ENV", help="which environment, such as dev")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        for line in redrive(read_environment(options.environments, options.environment)):
            sys.stdout.write(f"{line}\n")
    except TocsinError as error:
        sys.stderr.write(f"redrive: {' '.join(str(error).split())}\n")
        return 1 if isinstance(error, CloudError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
