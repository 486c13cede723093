"""Reading templates: formats, encodings, tags, duplicates, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.cloudformation.document import Document, Duplicate, load, parse
from tocsin.errors import TemplateError

SMALL = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


def value(yaml_text: str) -> Any:
    """What one YAML value means inside a template."""
    return parse(f"Resources: {{}}\nValue: {yaml_text}\n", "t").tree["Value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!Condition A", {"Condition": "A"}),
        ("!GetAtt A.Arn", {"Fn::GetAtt": ["A", "Arn"]}),
        ("!GetAtt A.Outputs.Name", {"Fn::GetAtt": ["A", "Outputs.Name"]}),
        ("!GetAtt [A, Arn]", {"Fn::GetAtt": ["A", "Arn"]}),
        ("!Sub 'x-${A}'", {"Fn::Sub": "x-${A}"}),
        ("!Sub ['${b}', {b: !Ref A}]", {"Fn::Sub": ["${b}", {"b": {"Ref": "A"}}]}),
        ("!Join ['-', [a, !Ref B]]", {"Fn::Join": ["-", ["a", {"Ref": "B"}]]}),
        ("!If [C, 1, 2]", {"Fn::If": ["C", 1, 2]}),
        ("!Equals [a, b]", {"Fn::Equals": ["a", "b"]}),
        ("!And [!Condition A, !Condition B]", {"Fn::And": [{"Condition": "A"}, {"Condition": "B"}]}),
        ("!Or [!Condition A, !Condition B]", {"Fn::Or": [{"Condition": "A"}, {"Condition": "B"}]}),
        ("!Not [!Condition A]", {"Fn::Not": [{"Condition": "A"}]}),
        ("!Select [0, !Split [',', a]]", {"Fn::Select": [0, {"Fn::Split": [",", "a"]}]}),
        ("!FindInMap [a, b, c]", {"Fn::FindInMap": ["a", "b", "c"]}),
        ("!Base64 text", {"Fn::Base64": "text"}),
        ("!Cidr [10.0.0.0/16, 2]", {"Fn::Cidr": ["10.0.0.0/16", 2]}),
        ("!GetAZs ''", {"Fn::GetAZs": ""}),
        ("!ImportValue 012", {"Fn::ImportValue": "012"}),
        ("!Transform {Name: AWS::Include}", {"Fn::Transform": {"Name": "AWS::Include"}}),
        ("!ToJsonString {a: 1}", {"Fn::ToJsonString": {"a": 1}}),
        ("!Length [a]", {"Fn::Length": ["a"]}),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
    ],
)
def test_short_forms_are_written_out(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2010-09-09", "2010-09-09"),
        ("2010-09-09T10:00:00Z", "2010-09-09T10:00:00Z"),
        ("012345678901", "012345678901"),
        ("0644", "0644"),
        ("12:30", "12:30"),
        ("12", 12),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e3", "1e3"),
        (".nan", ".nan"),
        ("yes", True),
        ("off", False),
        ("'yes'", "yes"),
        ("~", None),
        ("", None),
        ("null", None),
        ("9" * 60, "9" * 60),
    ],
)
def test_scalars(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_text() -> None:
    assert value("{012345678901: a, 12: b, on: c, 2020-01-01: d}") == {
        "012345678901": "a",
        "12": "b",
        "on": "c",
        "2020-01-01": "d",
    }


def test_anchors_aliases_and_merges() -> None:
    text = """
Resources: {}
Base: &base {a: 1, b: 2}
Same: *base
More: {<<: *base, b: 3}
"""
    tree = parse(text, "t").tree
    assert tree["Same"] == {"a": 1, "b": 2}
    assert tree["More"] == {"a": 1, "b": 3}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_encodings(tmp_path: Path, encoding: str, form: str) -> None:
    text = json.dumps(SMALL) if form == "json" else "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n"
    file = tmp_path / "x.template"
    file.write_bytes(text.encode(encoding))
    assert load(file).tree == SMALL


def test_line_ends_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_bytes(b"Resources:\r\n  Queue:\r\n    Type: AWS::SQS::Queue\r\n")
    assert load(file).tree == SMALL


def test_json_and_flow_yaml() -> None:
    assert parse('{"Resources": {}}', "t") == Document("t", {"Resources": {}})
    assert parse('{\n\t"Resources": {}\n}', "t").tree == {"Resources": {}}
    assert parse("{Resources: {}}", "t").tree == {"Resources": {}}


def test_duplicates_are_reported_and_the_last_wins() -> None:
    yaml_document = parse("Resources:\n  A: 1\n  B: {c: 1, c: 2}\n  A: 3\n", "t")
    assert yaml_document.tree == {"Resources": {"A": 3, "B": {"c": 2}}}
    assert yaml_document.duplicates == (Duplicate("c", 3, 13), Duplicate("A", 4, 3))
    json_document = parse('{"Resources": {\n  "A": {"x": "{"},\n  "B": ["A", {"x": 1}],\n  "A" : 2\n}}', "t")
    assert json_document.tree == {"Resources": {"A": 2, "B": ["A", {"x": 1}]}}
    assert json_document.duplicates == (Duplicate("A", 4, 3),)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("Resources:\n  A: [1\n  B: 2\n", 3, 4, "not YAML"),
        ("Resources:\n\tA: 1\n", 2, 1, "spaces, not tabs"),
        ("Resources:\n  A: !Rfe B\n", 2, 6, "unknown tag !Rfe"),
        ("Resources:\n  A: !Base64 !Sub B\n", 2, 14, "write the first as Fn::Base64:"),
        ("Resources:\n  A: !!set {a}\n", 2, 6, "!!set"),
        ("Resources:\n  A: {{resolve:ssm:x}}\n", 2, 7, "a key must be text"),
        ("Resources:\n  A: *nowhere\n", 2, 6, "no anchor"),
        ("Resources:\n  A: &a [*a]\n", 2, 10, "no anchor"),
        ("Resources:\n  <<: text\n", 2, 7, "merged"),
        ("Resources: {}\n---\nResources: {}\n", 2, 1, "second YAML document"),
        ('{\n  "Resources": {,}\n}', 2, 17, "not JSON"),
        ('{"Resources": {}', 1, 17, "not JSON"),
        ("[1]", None, None, "no mapping named Resources"),
        ("just text", None, None, "no mapping named Resources"),
        ("Resources: [a]", None, None, "no mapping named Resources"),
        ("Resources:", None, None, "no mapping named Resources"),
        ("", None, None, "empty"),
        ("# a comment\n", None, None, "empty"),
        ("Resources: \x01", None, None, "U+0001 in line 1"),
        ("Resources:\0", None, None, "binary"),
        ("Resources: \ud800", None, None, "not allowed"),
        ('{"Resources": {"a": "\\ud800"}}', None, None, "surrogate"),
        ('{"Resources": ' + "9" * 5000 + "}", None, None, "too many digits"),
    ],
)
def test_what_is_refused_and_where(text: str, line: int | None, column: int | None, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(text, "some.yaml")
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith("some.yaml:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "Resources: " + "[" * 50_000,
        "[" * 50_000,
        '{"a":' * 50_000,
        '{"Resources":' + "[" * 150 + "]" * 150 + "}",
        "Resources:\n" + "".join("  " * depth + f"a{depth}:\n" for depth in range(1, 150)),
        "- " * 5_000,
    ],
)
def test_bottomless_nesting_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError, match="nested deeper than 100 levels"):
        parse(text, "t")


def test_nesting_through_aliases_is_an_error() -> None:
    links = "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
    with pytest.raises(TemplateError, match="nested deeper"):
        parse(f"a0: &a0 [x]\n{links}Resources: {{}}", "t")


def test_a_billion_laughs_is_an_error() -> None:
    lines = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    with pytest.raises(TemplateError, match="aliases written out"):
        parse(f"a0: &a0 [lol]\n{lines}Resources: {{}}", "t")


def test_files_that_cannot_be_templates(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(TemplateError, match="a folder, not a template; name a file"):
        load(tmp_path)
    (tmp_path / "Shop.template.json").write_text("{}")
    with pytest.raises(TemplateError, match=r"name one of its templates: Shop\.template\.json"):
        load(tmp_path)
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(TemplateError, match="binary"):
        load(tmp_path / "picture")
    (tmp_path / "latin").write_bytes(b"Resources:\n  A: caf\xe9\n")
    with pytest.raises(TemplateError, match=r"latin:2:9: not UTF-8"):
        load(tmp_path / "latin")
    (tmp_path / "large").write_bytes(b"#" * 5_000_001)
    with pytest.raises(TemplateError, match="larger than 5 MB"):
        load(tmp_path / "large")
    with pytest.raises(TemplateError, match="cannot be read"):
        load(Path("a\0b"))


def test_errors_call_the_file_what_they_are_told(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"^shop/t\.yaml: no such file"):
        load(tmp_path / "t.yaml", shown_as="shop/t.yaml")
