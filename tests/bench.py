"""How long whole processes take, as medians and ratios of one run: ``make bench``, or ``python -m tests.bench``.

Times go by the wall and by the processor (user and system).  On a machine that does something else at the same
time only the processor's are comparable; ratios to a bare interpreter are comparable between machines.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "deploy" / "notification" / "template.yaml"
FEW, MANY = 50, 1000

_LOGICAL_ID = re.compile(r"^  ([A-Za-z0-9]+):$", re.MULTILINE)
_TIMEOUT = re.compile(r"(Timeout: )[0-9]+$", re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """Medians over the runs of one command: seconds by the wall and by the processor, and the largest memory in MB."""

    wall: float
    cpu: float
    memory: float


def measure(command: list[str], runs: int, folder: Path, *, fresh: str | None = None) -> Measured:
    """Run a command ``runs`` times in ``folder``, without ``fresh`` there, and fail if it does not end well."""
    walls, cpus, memory = [], [], 0.0
    for _ in range(runs):
        if fresh is not None:
            shutil.rmtree(folder / fresh, ignore_errors=True)
        begin = time.perf_counter()
        # wait4 tells the processor time and memory of this one child, which subprocess does not.
        child = os.posix_spawn(
            command[0],
            command,
            os.environ | {"PWD": str(folder)},
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600)],
        )
        _, status, used = os.wait4(child, 0)
        walls.append(time.perf_counter() - begin)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"bench: {' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}")
        cpus.append(used.ru_utime + used.ru_stime)
        # Kilobytes on Linux, bytes on macOS.
        memory = max(memory, used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))
    return Measured(statistics.median(walls), statistics.median(cpus), memory)


def copies(folder: Path, count: int) -> Path:
    """``count`` templates that differ in logical ids and in what alarms derive from, so that nothing can be reused."""
    folder.mkdir()
    text = TEMPLATE.read_text(encoding="utf-8")
    resources = text[text.index("\nResources:") :]
    own_ids = re.compile(rf"\b({'|'.join(sorted(set(_LOGICAL_ID.findall(resources)), key=len, reverse=True))})\b")
    for number in range(count):
        copy = own_ids.sub(rf"\g<1>No{number}", text)
        copy = _TIMEOUT.sub(rf"\g<1>{3 + number % 897}", copy)
        (folder / f"system-{number:04}.yaml").write_text(copy, encoding="utf-8")
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each short command; long ones run less often")
    runs: int = parser.parse_args().runs
    tocsin = [sys.executable, "-m", "tocsin"]
    results: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as place:
        folder = Path(place)
        os.chdir(folder)
        few, many = copies(folder / "few", FEW), copies(folder / "many", MANY)
        one = ["build", "--template", str(TEMPLATE), "--name", "notification", "--out", "out"]
        plan: list[tuple[str, list[str], int, float | None]] = [
            ("bare interpreter", [sys.executable, "-c", "pass"], runs, None),
            ("tocsin --help", [*tocsin, "--help"], runs, 0.15),
            ("discover, 1 system", [*tocsin, "discover", str(TEMPLATE), "--json"], runs, None),
            ("build, 1 system", [*tocsin, *one], runs, 0.4),
            (f"build, {FEW} systems", [*tocsin, "build", "--templates", str(few), "--out", "out"], max(1, runs // 2), 1.5),
            (f"build, {MANY} systems", [*tocsin, "build", "--templates", str(many), "--out", "out"], 1, None),
        ]  # fmt: skip
        print(f"{'':22}{'wall s':>9}{'cpu s':>9}{'memory MB':>11}{'aim s':>8}{'cpu / bare':>12}")
        for title, command, count, aim in plan:
            measured = results[title] = measure(command, count, folder, fresh="out")
            print(
                f"{title:22}{measured.wall:9.3f}{measured.cpu:9.3f}{measured.memory:11.1f}{aim or '':>8}"
                f"{measured.cpu / results['bare interpreter'].cpu:12.1f}",
                flush=True,
            )
    one_system, few_systems, many_systems = list(results.values())[-3:]
    each_of_few, each_of_many = (
        (measured.cpu - one_system.cpu) / (count - 1) for measured, count in ((few_systems, FEW), (many_systems, MANY))
    )
    print(f"each further system: {each_of_few * 1000:.1f} ms of {FEW}, {each_of_many * 1000:.1f} ms of {MANY}")
    print(f"growth per system, {MANY} to {FEW} (1 is linear): {each_of_many / each_of_few:.2f}")


if __name__ == "__main__":
    main()
