"""The project's folder and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.errors import InputError
from tocsin.project import Project, find_project


def test_without_settings_it_is_where_one_stands(tmp_path: Path) -> None:
    assert find_project(tmp_path) == Project(tmp_path)


def test_settings_are_looked_for_upwards(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text('alarms = "ops/alarms"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    project = find_project(below)
    assert (project.root, project.alarms, project.dashboards) == (tmp_path, "ops/alarms", "dashboards")


def test_declarations_in_the_usual_place_are_found_from_below(tmp_path: Path) -> None:
    below = tmp_path / "monitoring" / "systems"
    below.mkdir(parents=True)
    assert find_project(below).root == tmp_path


def test_the_nearest_settings_count(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text('alarms = "outer"\n')
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[tool.tocsin]\nalarms = "inner"\n')
    assert find_project(inner).alarms == "inner"
    assert find_project(inner).source == "pyproject.toml [tool.tocsin]"


def test_a_pyproject_without_our_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text('alarms = "outer"\n')
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[tool.ruff]\n")
    assert find_project(inner).alarms == "outer"


def test_its_own_file_beats_pyproject(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text('alarms = "a"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.tocsin]\nalarms = "b"\n')
    assert find_project(tmp_path).alarms == "a"


def test_paths_take_their_shortest_form(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text('alarms = "./ops//alarms/"\n')
    assert find_project(tmp_path).alarms == "ops/alarms"


def test_addresses_reach_the_texts(tmp_path: Path) -> None:
    assert find_project(tmp_path).settings.runbooks == "runbooks"
    (tmp_path / "tocsin.toml").write_text(
        'runbooks_url = "https://wiki.example.com/runbooks"\ndashboards_url = "https://grafana.example.com"\n'
    )
    settings = find_project(tmp_path).settings
    assert settings.runbooks == "https://wiki.example.com/runbooks"
    assert settings.dashboards == "https://grafana.example.com"


def test_a_history_may_lie_in_a_bucket_and_months_begin_where_the_team_is(tmp_path: Path) -> None:
    assert (Project(tmp_path).history, Project(tmp_path).timezone) == ("history", "UTC")
    (tmp_path / "tocsin.toml").write_text('history = "s3://reviews/tocsin"\ntimezone = "Europe/Berlin"\n')
    project = find_project(tmp_path)
    assert (project.history, project.timezone) == ("s3://reviews/tocsin", "Europe/Berlin")


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "/etc/passwd", "../UTC", "+02:00"])
def test_a_time_zone_is_one_that_the_database_knows(tmp_path: Path, zone: str) -> None:
    (tmp_path / "tocsin.toml").write_text(f'timezone = "{zone}"\n')
    with pytest.raises(InputError, match=r"tocsin\.toml: timezone .* is not known; name one such as Europe/Berlin"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("tocsin.toml", "alarms", "tocsin.toml: not TOML: "),
        ("tocsin.toml", "[tool.tocsin]", "tocsin.toml: unknown key 'tool'; there are: alarms, dashboards"),
        ("tocsin.toml", "alrms = 'x'", "tocsin.toml: unknown key 'alrms'; did you mean 'alarms'?"),
        ("tocsin.toml", "root = 'x'", "tocsin.toml: unknown key 'root'"),
        ("tocsin.toml", "alarms = ['x']", "tocsin.toml: alarms must be text, got ['x']"),
        ("tocsin.toml", "slos = '../SLOs.md'", "tocsin.toml: slos must be a path inside the project"),
        ("tocsin.toml", "slos = 'a/../../SLOs.md'", "tocsin.toml: slos must be a path inside the project"),
        ("tocsin.toml", "alarms = '/srv/alarms'", "tocsin.toml: alarms must be a path inside the project"),
        ("tocsin.toml", "alarms = 'a\\b'", "tocsin.toml: alarms must be a path inside the project, with '/'"),
        ("tocsin.toml", "alarms = ' '", "tocsin.toml: alarms must be a path inside the project"),
        ("pyproject.toml", "[tool.tocsin]\nalrms = 'x'", "pyproject.toml [tool.tocsin]: unknown key 'alrms'"),
        ("pyproject.toml", "[tool", "pyproject.toml: not TOML: "),
    ],
)
def test_wrong_settings(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError) as raised:
        find_project(tmp_path)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_not_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"tocsin\.toml: not TOML: "):
        find_project(tmp_path)


def test_a_parameter_that_no_template_declares_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "monitoring" / "systems").mkdir(parents=True)
    (tmp_path / "t.yaml").write_text("Parameters: {Stage: {Type: String}}\nResources: {Q: {Type: AWS::SQS::Queue}}\n")
    (tmp_path / "monitoring" / "systems" / "shop.py").write_text(
        'from tocsin import System, discover\nsystem = System("shop", "team", discover("t.yaml"))\n'
    )
    monkeypatch.chdir(tmp_path)
    from tocsin.declarations import load_systems

    assert load_systems(tmp_path, "monitoring/systems", {"Stage": "x"})
    with pytest.raises(InputError, match=r"--param Stge: no template of monitoring/systems .* did you mean 'Stage'"):
        load_systems(tmp_path, "monitoring/systems", {"Stge": "x"})
