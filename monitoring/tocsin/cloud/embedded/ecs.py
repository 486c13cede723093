"""ECS on Fargate: RunTask runs a process of this machine (see `task_process`), and its end is told as at AWS.

The task goes PROVISIONING, PENDING, RUNNING, STOPPED; its lines reach the log group of its ``awslogs`` driver; each
change of state is an event "ECS Task State Change" on the default bus.  A ``clientToken`` seen before is answered with
the first answer, whatever has become of the task.  One container to a task; services, and tasks that a schedule or a state machine starts, run nothing.
Sources: Amazon ECS developer guide, "Task lifecycle", "Amazon ECS task state change events", "Idempotency in Amazon ECS".
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from . import service_roles, task_process
from .base import core, here, scope, service
from .parts import Parts
from .task_process import TaskProcess

_log = logging.getLogger("tocsin.ecs")
_STOP_SECONDS = 8.0
Response = tuple[int, dict[str, str], bytes]


class Tasks:
    """The running tasks of all accounts and regions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ecs = service("ecs")
        self._processes: dict[str, TaskProcess] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._reasons: dict[str, str] = {}
        self._tokens: dict[tuple[str, ...], tuple[str, Response]] = {}
        self._lock = threading.RLock()
        self._stopping = False

    def run(self, request: dict[str, Any]) -> Response:
        """RunTask."""
        with self._lock:
            token, given = self._token(request), json.dumps(request, sort_keys=True, default=str)
            if token and token in self._tokens:
                before, first = self._tokens[token]
                if before != given:
                    return self._refused("ConflictException", "The clientToken was used for another request.")
                return first
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
            response: Response = self._ecs_run(request)
            if response[0] >= 400:
                return response
            arns = [task["taskArn"] for task in json.loads(response[2])["tasks"]]
            threads = [self._thread(arn, request.get("overrides") or {}) for arn in arns]
            answer = self._answer(arns)
            if token:
                self._tokens[token] = (given, answer)
            for thread in threads:
                thread.start()
            return answer

    def stop_task(self, request: dict[str, Any]) -> Response:
        """StopTask: SIGTERM to the process; the task is STOPPED when it has ended."""
        cluster = self._ecs._resolve_cluster_name(request.get("cluster", "default"))
        task = self._ecs._resolve_task(request.get("task", ""), cluster)
        with self._lock:
            arn = task["taskArn"] if task else ""
            if arn not in self._threads or task["lastStatus"] == "STOPPED":
                response: Response = self._ecs_stop(request)
                return response
            self._reasons.setdefault(arn, request.get("reason") or "Task stopped by user")
            if process := self._processes.get(arn):
                process.terminate()
            shown = {**self._ecs._sanitize(task), "desiredStatus": "STOPPED", "stoppedReason": self._reasons[arn]}
        answer: Response = core("responses").json_response({"task": shown})
        return answer

    def install(self) -> None:
        """Answer RunTask and StopTask."""
        ecs = self._ecs
        # Without Docker ministack only keeps the records; a Docker on this machine must not change that.
        ecs._get_docker = lambda: None
        self._ecs_run, self._ecs_stop = ecs._run_task, ecs._stop_task
        ecs._ACTION_MAP["RunTask"], ecs._ACTION_MAP["StopTask"] = self.run, self.stop_task

    def stop(self) -> None:
        """End every process and wait for it."""
        with self._lock:
            self._stopping = True
            processes, threads = list(self._processes.values()), list(self._threads.values())
        for each in processes:
            each.terminate()
        for thread in threads:
            thread.join(_STOP_SECONDS)

    def _token(self, request: Mapping[str, Any]) -> tuple[str, ...] | None:
        given = request.get("clientToken")
        cluster = str(self._ecs._resolve_cluster_name(request.get("cluster", "default")))
        return (*here(), cluster, str(given)) if given else None

    def _refusal(self, request: Mapping[str, Any]) -> Response | None:
        """What AWS would refuse before there is a task, and ministack accepts."""
        ecs = self._ecs
        cluster = ecs._resolve_cluster_name(request.get("cluster", "default"))
        if cluster not in ecs._clusters:
            return self._refused("ClusterNotFoundException", "Cluster not found.")
        definition = ecs._task_defs.get(ecs._resolve_td_key(request.get("taskDefinition", "")))
        if definition is None:
            return None  # ministack says so
        overrides = request.get("overrides") or {}
        names = {container["name"] for container in definition["containerDefinitions"]}
        for override in overrides.get("containerOverrides") or ():
            if override.get("name") not in names:
                return self._refused(
                    "InvalidParameterException",
                    f"Override for container named {override.get('name')} is not a container in the TaskDefinition.",
                )
        if definition.get("networkMode") == "awsvpc" and (missing := _missing_network(request)):
            return self._refused("InvalidParameterException", missing)
        for name in ("taskRoleArn", "executionRoleArn"):
            role = overrides.get(name) or definition.get(name)
            if role and not task_process.trusts_tasks(role):
                return self._refused(
                    "ClientException",
                    f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that "
                    "the role being passed has the proper trust relationship and permissions and that your IAM user "
                    "has permissions to pass this role.",
                )
        return None

    def _refused(self, code: str, message: str) -> Response:
        answer: Response = core("responses").error_response_json(code, message, 400)
        return answer

    def _answer(self, arns: Sequence[str]) -> Response:
        tasks = [self._ecs._sanitize(self._ecs._tasks[arn]) for arn in arns if arn in self._ecs._tasks]
        answer: Response = core("responses").json_response({"tasks": tasks, "failures": []})
        return answer

    def _thread(self, arn: str, overrides: Mapping[str, Any]) -> threading.Thread:
        """What will follow the task, which is not on its way yet."""
        task = self._ecs._tasks[arn]
        task.update(lastStatus="PROVISIONING", startedAt=None, pullStartedAt=None, pullStoppedAt=None)
        for container in task["containers"]:
            container.update(lastStatus="PENDING", runtimeId=None)
        thread = threading.Thread(
            target=self._follow, args=(here(), task, overrides), daemon=True, name=f"tocsin-task-{arn[-8:]}"
        )
        self._threads[arn] = thread
        return thread

    def _follow(self, owner: tuple[str, str], task: dict[str, Any], overrides: Mapping[str, Any]) -> None:
        """The whole life of a task."""
        arn = task["taskArn"]
        with scope(*owner):
            try:
                self._ecs._mark_task_pending(arn, task)
                self._tell(task)
                try:
                    container, process = self._start(task, overrides)
                except Exception as error:  # whatever it is, the task tells it
                    _log.warning("task %s did not start: %s", arn, error)
                    self._end(task, f"CannotStartContainerError: {error}", "TaskFailedToStart", None)
                    return
                for each in task["containers"]:
                    each["lastStatus"] = "RUNNING"
                self._ecs._mark_task_running(arn, task)
                self._tell(task)
                self._write_log(task, container, process)
                code = process.wait()
                with self._lock:
                    reason = self._reasons.pop(arn, None)
                if reason is not None:
                    self._end(task, reason, "UserInitiated", code)
                else:
                    self._end(task, "Essential container in task exited", "EssentialContainerExited", code)
            except Exception:
                _log.exception("task %s could not be followed to its end", arn)
            finally:
                with self._lock:
                    self._processes.pop(arn, None)
                    self._threads.pop(arn, None)

    def _start(self, task: dict[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], TaskProcess]:
        definitions = self._ecs._task_defs.values()
        definition = next(each for each in definitions if each["taskDefinitionArn"] == task["taskDefinitionArn"])
        if len(definition["containerDefinitions"]) != 1:
            raise ValueError("the embedded AWS runs one container to a task")
        (container,) = definition["containerDefinitions"]
        override: Mapping[str, Any] = next(
            (each for each in overrides.get("containerOverrides") or () if each.get("name") == container["name"]), {}
        )
        role = overrides.get("taskRoleArn") or definition.get("taskRoleArn") or ""
        credentials = task_process.role_credentials(role, task["taskArn"].rpartition("/")[2])
        service_roles.check_task(self._parts, {**definition, **overrides}, task["taskArn"].rpartition("/")[2])
        words = task_process.command(container, override)
        variables = task_process.environment(self._parts, container, override, credentials)
        with self._lock:
            if self._stopping or task["taskArn"] in self._reasons:
                raise ValueError("the task was stopped before it started")
            process = task_process.start(self._parts, words, variables)
            self._processes[task["taskArn"]] = process
        return container, process

    def _write_log(self, task: Mapping[str, Any], container: Mapping[str, Any], process: TaskProcess) -> None:
        """Each line as it comes, until the process closes its output."""
        config = self._ecs._awslogs_config(container, task["taskArn"].rpartition("/")[2], task["taskArn"])
        writes = bool(config) and self._ecs._ensure_awslogs_stream(config)
        for line in process.output:
            if writes:
                self._ecs._emit_awslogs_event(config, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _end(self, task: dict[str, Any], reason: str, stop_code: str, code: int | None) -> None:
        self._ecs._mark_task_stopped(task["taskArn"], task, reason, stop_code, exit_code=code)
        if code is None:
            task["containers"][0]["reason"] = reason
        self._tell(task)

    def _tell(self, task: Mapping[str, Any]) -> None:
        """The event of a change of state."""
        if self._stopping:
            return
        events = service("eventbridge")
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Detail": json.dumps(self._ecs._sanitize(task), default=str),
            "Resources": [task["taskArn"]],
        }
        try:
            events._put_events({"Entries": [entry]}, allow_aws_source=True)
        except Exception:
            _log.exception("the event of task %s was not sent", task["taskArn"])


def install(parts: Parts) -> Tasks:
    """Run tasks; the result's ``stop`` ends them."""
    tasks = Tasks(parts)
    tasks.install()
    return tasks


def _missing_network(request: Mapping[str, Any]) -> str | None:
    """What is wrong with the request's network configuration; None if nothing is."""
    network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    if not network.get("subnets"):
        return "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    ec2 = service("ec2")
    ec2._ensure_defaults_initialized()
    for kind, store, wanted in (
        ("subnet", ec2._subnets, network["subnets"]),
        ("security group", ec2._security_groups, network.get("securityGroups") or ()),
    ):
        for identifier in wanted:
            if identifier not in store:
                return f"Error retrieving {kind} information for [{identifier}]: it does not exist"
    return None
