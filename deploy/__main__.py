"""``python -m deploy VERB ENV``, which ``make plan ENV=dev`` and its like run: the command of an environment.

Exit codes: 0 done; 1 AWS refused, a deployment was rolled back or a check failed; 2 wrong input, nothing was tried;
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deploy.contract import contract
from deploy.systems import bootstrap, deploy_all, plan, plan_bootstrap
from deploy.validate import as_json as results_as_json
from deploy.validate import validate
from deploy.validate.target import PATIENCE_SECONDS
from deploy.validate.wording import lines, summary
from deploy.wording import Progress, done, planned
from tocsin.cloud.deploy import Progress as Listener
from tocsin.cloud.deploy import StackOutcome, StackPlan, Work
from tocsin.cloud.environments import Environment, read_environment
from tocsin.cloud.wording import as_json
from tocsin.errors import CloudError, InputError, TocsinError, nearest

ENVIRONMENTS = Path(__file__).resolve().parent / "environments.toml"
ENVIRONMENTS_VARIABLE = "DEPLOY_ENVIRONMENTS"  # another file in its place, as in the shell of `make laptop`
DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    environment: Environment
    parameters: Mapping[str, str]
    plan_only: bool
    yes: bool
    as_json: bool
    patience: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    verb = "deploy"
    try:
        options = _parser().parse_args(arguments)
        verb = options.verb
        return _run(options)
    except CloudError as error:
        return _fail(verb, error, FAILED)
    except TocsinError as error:
        return _fail(verb, error, WRONG_INPUT)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{verb}: interrupted; CloudFormation finishes what it has begun, run it again to go on\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(options: argparse.Namespace) -> int:
    if options.verb not in VERBS:
        raise InputError(f"no verb {options.verb!r}; {nearest(options.verb, VERBS)}")
    if options.json and options.verb not in ("plan", "validate"):
        raise InputError(f"--json is for plan and validate, not for {options.verb}")
    if len(options.environment.split()) > 1:
        raise InputError(f"ENV={options.environment!r}: one environment at a time, the first before the next")
    environment = read_environment(options.environments, options.environment)
    return VERBS[options.verb].run(
        Options(environment, _parameters(options.param), options.plan_only, options.yes, options.json, options.patience)
    )


def _bootstrap(options: Options) -> int:
    return _carry_out(
        options,
        lambda: [plan_bootstrap(options.environment, parameters=options.parameters)],
        lambda progress: [
            bootstrap(options.environment, parameters=options.parameters, confirmed=True, progress=progress)
        ],
        then="now `make deploy ENV={0}` can be run by people and by the delivery pipeline",
    )


def _plan(options: Options) -> int:
    plans = plan(options.environment, parameters=options.parameters)
    if options.as_json:
        _say(json.dumps([as_json(one) for one in plans], indent=2, sort_keys=True))
    else:
        _say_all(planned(plans))
    return DONE


def _deploy(options: Options) -> int:
    return _carry_out(
        options,
        lambda: plan(options.environment, parameters=options.parameters),
        lambda progress: deploy_all(
            options.environment, parameters=options.parameters, confirmed=True, progress=progress
        ),
        then="now check it: `make validate ENV={0}`",
    )


def _carry_out(
    options: Options,
    plan: Callable[[], Sequence[StackPlan]],
    deploy: Callable[[Listener], Sequence[StackOutcome]],
    then: str,
) -> int:
    """Show the plan, have it confirmed where that is asked for, and deploy."""
    environment = options.environment
    _refuse_silence(options, "look at the plan")
    plans = plan()
    _say_all(planned(plans))
    if options.plan_only:
        return DONE
    if all(one.work is Work.NOTHING for one in plans):
        _say(f"{environment.name} is as committed; nothing was changed")
        return DONE
    _confirm(options, "Deploy this")
    _say("")
    outcomes = deploy(Progress(_say, {one.stack: one for one in plans}))
    _say(f"\n{done(outcomes)}; {then.format(environment.name)}")
    return DONE


def _validate(options: Options) -> int:
    results = []
    for result in validate(options.environment, patience=options.patience):
        results.append(result)
        if not options.as_json:
            _say_all(lines(result))
    if options.as_json:
        _say(json.dumps(results_as_json(options.environment.name, results), indent=2, ensure_ascii=False))
    else:
        _say(f"\n{options.environment.name}: {summary(results)}")
    return DONE if all(result.passed for result in results) else FAILED


def _contract(options: Options) -> int:
    _refuse_silence(options, "validate it")
    _confirm(options, "Run the contracting migrations")
    _say_all(contract(options.environment))
    return DONE


def _refuse_silence(options: Options, first: str) -> None:
    """Where a protected environment must be confirmed, there has to be somebody to confirm it."""
    name = options.environment.name
    if options.environment.protected and not (options.yes or options.plan_only) and not sys.stdin.isatty():
        raise InputError(f"{name} is protected and there is no terminal to confirm it at; {first}, then give --yes")


def _confirm(options: Options, question: str) -> None:
    name = options.environment.name
    if not options.environment.protected or options.yes:
        return
    sys.stderr.write(f"\n{name} is protected. {question}? Type its name: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise InputError(f"{name}: not confirmed, so nothing was changed")


def _parameters(stated: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in stated:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--param {text}: write it as NAME=VALUE")
        found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing the command does."""

    help: str
    run: Callable[[Options], int]


VERBS = {
    "bootstrap": Verb("set up bucket, boundary and roles of an environment; once, by an administrator", _bootstrap),
    "plan": Verb("show what would change in every stack; change nothing", _plan),
    "deploy": Verb("plan, then bring about network, systems, routing and alarms, in that order", _deploy),
    "validate": Verb("check that the deployed systems do what they must, and refuse what they must", _validate),
    "contract": Verb("run the contracting database migrations; after validation", _contract),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong usage as one line, as every other error."""
        raise InputError(f"{message}; see `python -m deploy --help`")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    parser = _Parser(
        prog="python -m deploy",
        description="Plan, deploy and validate one environment of deploy/environments.toml.",
        epilog="verbs:\n" + "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", metavar="VERB", help="what to do, see below")
    parser.add_argument("environment", metavar="ENV", help="which environment, such as dev")
    parser.add_argument("--plan-only", action="store_true", help="with bootstrap and deploy: show the plan, then stop")
    parser.add_argument("--yes", action="store_true", help="do not ask, even for a protected environment")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a template's parameter, such as LoaderImage"
    )
    parser.add_argument("--json", action="store_true", help="with plan and validate: for a machine")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"with validate: how long a check waits for what is under way; default: {PATIENCE_SECONDS:.0f}",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(os.environ.get(ENVIRONMENTS_VARIABLE) or ENVIRONMENTS),
        metavar="FILE",
        help=f"default: that of the variable {ENVIRONMENTS_VARIABLE}, else deploy/environments.toml",
    )
    return parser


def _fail(verb: str, error: TocsinError, code: int) -> int:
    sys.stderr.write(f"{verb}: {' '.join(str(error).split())}\n")
    return code


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
