"""What an environment must not be is one line that names file and key, before AWS is asked for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deploy.__main__ import main
from stack_templates import ROOT

Told = tuple[int, str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """``runs(text, "bootstrap", "dev")``: exit code and what is said; nobody answers as AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    def run(text: str, *arguments: str) -> Told:
        path = tmp_path / "environments.toml"
        path.write_text(text)
        code = main([*arguments, "--environments", str(path)])
        (line,) = capsys.readouterr().err.splitlines()
        return code, line

    return run


LONG = "a-long-name"  # eleven letters
REPOSITORY = '[dev.stacks.delivery]\nGitHubRepository = "example/notifications"\n'
GITLAB = '[prod]\nregion = "eu-west-1"\naccount = "123456789012"\nprotected = true\n[prod.stacks.delivery]\nGitLabProject = "group/name"\n'
SIGNED = '[prod]\nregion = "eu-west-1"\naccount = "123456789012"\nprotected = true\n[prod.notification]\nApiAuthorization = "AWS_IAM"\n'


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (
            f"[{LONG}]\n",
            ("bootstrap", LONG),
            f"environments.toml: {LONG}: an environment's name has at most 10 characters",
        ),
        (f"[{LONG}]\n", ("plan", LONG), f"environments.toml: {LONG}: an environment's name has at most 10 characters"),
        ('[dev]\naccount = "222222222222"\n', ("bootstrap", "dev"), "dev.account: 222222222222 is a placeholder"),
        ('[dev]\naccount = "222222222222"\n', ("plan", "dev"), "dev.account: 222222222222 is a placeholder"),
        (
            REPOSITORY,
            ("bootstrap", "dev"),
            "dev.stacks.delivery.GitHubRepository: example/notifications is a placeholder",
        ),
        (
            "[dev]\n",
            ("bootstrap", "dev", "--param", "GitLabProject=example/x"),
            "dev.stacks.delivery.GitLabProject: example/x is a placeholder",
        ),
        (GITLAB, ("bootstrap", "prod", "--yes"), "prod.stacks.delivery.GitLabClaims is missing: without it every job"),
        (
            "[dev.notification]\nGenerateTimeoutSeconds = 900\n",
            ("plan", "dev"),
            "dev.notification.GenerateVisibilitySeconds: 360 is less than 6 times GenerateTimeoutSeconds (900); state at least 5400",
        ),
        (
            "[dev]\n",
            ("plan", "dev", "--param", "GenerateVisibilitySeconds=359"),
            "dev.notification.GenerateVisibilitySeconds: 359 is less than 6 times",
        ),
        (
            SIGNED,
            ("plan", "prod"),
            "prod.notification.IdentityLayerArn is missing: without it whoever may assume roles",
        ),
    ],
)
def test_it_is_refused_with_file_and_key(
    runs: Callable[..., Told], text: str, arguments: tuple[str, ...], said: str
) -> None:
    code, line = runs(text, *arguments)
    assert code == 2
    assert "environments.toml: " in line
    assert said in line


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('[ten-letter]\nregion = "eu-west-1"\n', ("bootstrap", "ten-letter")),
        (REPOSITORY, ("bootstrap", "dev", "--param", "GitHubRepository=owner@1/name@2")),
        (GITLAB, ("bootstrap", "prod", "--yes", "--param", "GitLabClaims=environment_protected:true")),
        (GITLAB.replace("protected = true", "protected = false"), ("bootstrap", "prod")),
        ("[dev.notification]\nGenerateTimeoutSeconds = 900\nGenerateVisibilitySeconds = 5400\n", ("plan", "dev")),
        (SIGNED + 'IdentityLayerArn = "arn:aws:iam::123456789012:role/identity"\n', ("plan", "prod")),
        (SIGNED.replace("AWS_IAM", "JWT"), ("plan", "prod")),
        (SIGNED.replace("protected = true", ""), ("plan", "prod")),
    ],
)
def test_what_is_right_is_asked_of_aws(runs: Callable[..., Told], text: str, arguments: tuple[str, ...]) -> None:
    """Where nobody answers."""
    code, line = runs(text.replace("[dev.", '[dev]\nregion = "eu-west-1"\n[dev.', 1), *arguments)
    assert (code, "environments.toml: " in line) == (1, False), line


@pytest.mark.parametrize("name", ["dev", "qa", "prod"])
def test_the_committed_environments_are_refused_until_they_are_somebodys(runs: Callable[..., Told], name: str) -> None:
    text = (ROOT / "deploy" / "environments.toml").read_text()
    assert f"{name}.account: " in runs(text, "bootstrap", name, "--yes")[1]
    for digit in "123":
        text = text.replace(f'account = "{digit * 12}"', 'account = "123456789012"')
    code, line = runs(text, "bootstrap", name, "--yes")
    assert code == 2
    assert f"{name}.stacks.delivery.GitHubRepository: example/notifications is a placeholder" in line
