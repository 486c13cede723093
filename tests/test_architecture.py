"""Who may import whom, held against the syntax trees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "monitoring" / "tocsin"

# Importer → what it may import besides the values that everybody may. A module is named by its first part.
EVERYBODY = {"units", "errors", "model", "alarm", "cloudformation"}
MAY_IMPORT = {
    "units": {"errors"},
    "errors": set(),
    "alarm": {"errors"},
    "model": {"alarm", "errors", "units"},
    "cloudformation": {"errors"},
    "catalog": EVERYBODY,
    "burn_rate": EVERYBODY,
    "cost": EVERYBODY,
    "discovery": EVERYBODY | {"catalog"},
    "declare": EVERYBODY | {"catalog", "burn_rate", "discovery", "own_metrics"},
    "own_metrics": EVERYBODY | {"catalog"},
    "declarations": EVERYBODY | {"declare"},
    "plan": EVERYBODY | {"catalog", "burn_rate"},
    "project": EVERYBODY | {"plan"},
    "render": EVERYBODY | {"plan", "catalog", "burn_rate", "cost", "paging", "history"},
    "workspace": EVERYBODY | {"plan", "project", "render", "backtest", "paging"},
    "starter": EVERYBODY | {"catalog"},
    "findings": set(),
    "checks": EVERYBODY | {"findings", "catalog", "plan", "simulate", "paging"},
    "check": EVERYBODY
    | {"findings", "checks", "cost", "plan", "project", "workspace", "discovery", "render", "paging"},
    "simulate": EVERYBODY,
    "backtest": EVERYBODY | {"simulate", "burn_rate", "plan"},
    "cloud": EVERYBODY | {"simulate"},
    "paging": EVERYBODY,
    "oncall": EVERYBODY | {"cloud", "paging", "simulate"},
    "history": EVERYBODY | {"cloud", "plan", "burn_rate", "simulate", "paging"},
    "review": EVERYBODY | {"history", "backtest", "burn_rate", "plan", "simulate"},
    "exporter": EVERYBODY | {"history", "cloud", "plan", "burn_rate"},
    "openslo": EVERYBODY | {"declare", "catalog", "burn_rate", "own_metrics"},
    "cli": None,
    "__main__": {"cli"},
    "__init__": {"declare", "errors", "model", "own_metrics"},
}

# Each heavy library has one home.
HOMES = {
    "troposphere": ("render/alarms.py", "render/history_stack.py", "render/routing/"),
    "grafanalib": ("render/dashboards/",),
    "boto3": ("cloud/",),
    "botocore": ("cloud/",),
    "opsgenie_sdk": ("paging/",),
    "urllib3": ("paging/rest.py",),
    "prometheus_client": ("exporter/",),
    "duckdb": ("history/",),
    "ministack": ("cloud/embedded/",),
    "numpy": ("simulate/", "backtest/"),
    "cronsim": ("simulate/",),
    "matplotlib": ("backtest/plot.py",),
    "rich": ("cli/",),
    "click": ("cli/",),
}


def modules() -> list[Path]:
    return sorted(ENGINE.rglob("*.py"))


def first_part(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def own_imports(path: Path) -> set[str]:
    """First parts of the engine's modules that ``path`` imports, wherever in the file."""
    package = path.relative_to(ENGINE).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            names = node.module.split(".") if node.module else []
            if base or names:
                found.add((*base, *names)[0])
            else:
                found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tocsin":
            found |= set(node.module.split(".")[1:2])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tocsin.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_imports_follow_the_arrows(path: Path) -> None:
    importer = first_part(path)
    assert importer in MAY_IMPORT, f"{importer} has no place in the layout; give it one here and in docs/architecture"
    allowed = MAY_IMPORT[importer]
    if allowed is None:
        return
    beyond = own_imports(path) - allowed - {importer}
    assert not beyond, f"{path.relative_to(ENGINE)} must not import {', '.join(sorted(beyond))}"


def test_simulate_is_an_independent_oracle() -> None:
    for path in (ENGINE / "simulate").rglob("*.py"):
        assert not own_imports(path) & {"plan", "render", "catalog", "burn_rate"}, path.name


def test_the_engine_never_imports_the_embedded_aws() -> None:
    for path in modules():
        inside = path.relative_to(ENGINE).as_posix()
        if inside.startswith("cloud/embedded/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            parts = {part for name in names for part in name.split(".")}
            if isinstance(node, ast.ImportFrom) and node.module:
                parts |= set(node.module.split("."))
            assert "embedded" not in parts, f"{inside}:{getattr(node, 'lineno', 0)} imports the embedded AWS"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_each_library_has_one_home(path: Path) -> None:
    inside = path.relative_to(ENGINE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in names:
            homes = HOMES.get(name.split(".")[0])
            assert homes is None or inside.startswith(homes), f"{inside} imports {name}, whose home is {homes}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    inside = path.relative_to(ENGINE).as_posix()
    if inside.startswith(("cli/", "cloud/embedded/")):  # the embedded AWS is a program of its own
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "os._exit"), f"{inside}:{node.lineno} calls {called}"


def test_there_is_no_import_circle() -> None:
    graph = {}
    for path in modules():
        graph.setdefault(first_part(path), set()).update(own_imports(path) - {first_part(path)})
    graph.pop("__init__", None)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import circle: {' → '.join((*trail, name))}"
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_every_file_says_what_it_does() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ENGINE)} has no docstring"
