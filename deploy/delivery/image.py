"""Puts the loader's image into an environment's repository and says what it is called there.

``python -m deploy.delivery.image ENV ARCHIVE TAG`` copies the archive that ``docker save`` made, with skopeo, which
needs no Docker engine.  The same image goes to every environment.  A tag that is there already is left alone: tags never
change, so that a second run changes nothing.  Prints the image by its digest, as the parameter LoaderImage takes it.
"""

from __future__ import annotations

import argparse
import base64
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.render import DELIVERY
from tocsin.cloud.environments import read_environment
from tocsin.cloud.preparation import connect_to
from tocsin.cloud.session import Cloud, asking, error_code
from tocsin.cloud.stacks import find_stack
from tocsin.errors import CloudError, TocsinError

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "environments.toml"
OUTPUT = "LoaderRepositoryUri"
SECONDS = 900


def put_image(cloud: Cloud, stack: str, archive: Path, tag: str) -> str:
    """Bring the image into the repository of the delivery ``stack``; returns it by digest.  Raises CloudError."""
    delivery = find_stack(cloud, stack)
    if delivery is None or OUTPUT not in delivery.outputs:
        raise CloudError(f"stack {stack} does not tell {OUTPUT}: an administrator runs `make bootstrap` first")
    uri = delivery.outputs[OUTPUT]
    digest = _digest(cloud, uri, tag)
    if digest is None:
        _copy(cloud, uri, archive, tag)
        digest = _digest(cloud, uri, tag)
    if digest is None:
        raise CloudError(f"{uri}:{tag} was copied, but is not there; try again")
    return f"{uri}@{digest}"


def _digest(cloud: Cloud, uri: str, tag: str) -> str | None:
    """The digest of the image of that tag, None if there is none."""
    registry, name = uri.split("/", 1)
    with asking(f"look for {uri}:{tag}"):
        try:
            found = cloud.client("ecr").describe_images(
                registryId=registry.split(".")[0], repositoryName=name, imageIds=[{"imageTag": tag}]
            )["imageDetails"]
        except Exception as error:
            if error_code(error) == "ImageNotFoundException":
                return None
            raise
    return str(found[0]["imageDigest"]) if found else None


def _copy(cloud: Cloud, uri: str, archive: Path, tag: str) -> None:
    with asking("log in to the image registry"):
        token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    with tempfile.TemporaryDirectory() as folder:
        # The password goes in by standard input and into a file of our own: a command line is for all to see.
        login = ["--authfile", f"{folder}/auth.json"]
        _skopeo(["login", *login, "--username", user, "--password-stdin", uri.split("/", maxsplit=1)[0]], password)
        _skopeo(["copy", *login, f"docker-archive:{archive}", f"docker://{uri}:{tag}"])


def _skopeo(arguments: Sequence[str], given: str | None = None) -> None:
    try:
        done = subprocess.run(
            ["skopeo", *arguments], input=given, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except FileNotFoundError:
        raise CloudError("skopeo is not installed here; install the package skopeo") from None
    except subprocess.TimeoutExpired:
        raise CloudError(f"skopeo {arguments[0]} was not done after {SECONDS} s; try again") from None
    if done.returncode:
        raise CloudError(f"skopeo {arguments[0]} failed: {' '.join(done.stderr.split()) or done.returncode}")


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.delivery.image", description="Put the loader's image into an environment's repository."
    )
    parser.add_argument("environment", metavar="ENV", help="which environment, such as dev")
    parser.add_argument("archive", metavar="ARCHIVE", type=Path, help="file that `docker save` made")
    parser.add_argument("tag", metavar="TAG", help="tag of the image, such as the commit")
    given = parser.parse_args(arguments)
    try:
        environment = read_environment(ENVIRONMENTS, given.environment)
        stack = environment.other(DELIVERY).stack
        image = put_image(connect_to(environment), stack, given.archive, given.tag)
    except TocsinError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
