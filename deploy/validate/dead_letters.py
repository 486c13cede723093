"""Nothing lies in a dead-letter queue."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from tocsin.cloud.session import asking

SUFFIX = "DeadLettersUrl"
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def run(target: Target) -> str:
    """Count what is in every queue that a system's stack puts out under a name of dead letters."""
    looked_at = 0
    for stack in target.stacks.values():
        urls = {name: url for name, url in stack.outputs.items() if name.endswith(SUFFIX)}
        if not urls:
            raise CheckFailedError(f"stack {stack.name} puts out no queue of dead letters")
        for name, url in sorted(urls.items()):
            with asking(f"count the messages of {url}"):
                counts = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTS))
            number = sum(int(counts["Attributes"].get(count, 0)) for count in COUNTS)
            if number:
                raise CheckFailedError(
                    f"{number} message{'' if number == 1 else 's'} in {name.removesuffix('Url')} ({url})"
                )
            looked_at += 1
    return f"{looked_at} queues are empty"


CHECK = Check(
    name="dead-letters-empty",
    holds="the dead-letter queues are empty",
    mend="follow runbooks/sqs-dead-letter-queue-not-empty.md: read, mend the cause, redrive or delete",
    run=run,
)
