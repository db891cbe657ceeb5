"""YAML: which texts are numbers, what is refused, and that sentences name the place."""

import math

import pytest
import yaml

from psd_lab.paths import DATA
from psd_lab.yaml_reader import dump, read_file, read_text, read_value
from psd_lib.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-1", 0.1),
        ("1E3", 1000.0),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("0.9", 0.9),
        ("3", 3),
        ("-1", -1),
        ("1_000", 1000),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("-.inf", -math.inf),
        ("true", True),
        ("no", False),
        ("Off", False),
        ("null", None),
        ("[1, 1e1]", [1, 10.0]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_numbers_booleans_and_null_are_read_as_people_write_them(text, value):
    got = read_value("x", text)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["1:30", "2024-01-01", "e3", "1e", "1_", "_1", ".", "local_leap", "0b", "1.2.3"]
)
def test_everything_else_is_text(text):
    assert read_value("x", text) == text


def test_nan_is_a_number():
    assert math.isnan(read_value("x", ".nan"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{a", "'{a' is not a value for x: expected ',' or '}'"),
        ("[1", "'[1' is not a value for x: expected ',' or ']'"),
        ("*a", "undefined alias 'a'"),
        ("&a [*a]", "recursive"),
        ("{a: 1, a: 2}", "the key 'a' stands in line 1 already"),
        ("{[a]: 1}", "unhashable"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ("!!timestamp x", "could not determine a constructor"),
        ("!!int x", "not a whole number"),
        ("!!float x", "'x' is not a number"),
        ("9" * 5000, "not a whole number that fits"),
        ("1e999", "'1e999' is too large for a number"),
        ("\x00", "the character #x0000 is not allowed"),
        ("[" * 3000, "nested too deeply"),
        ("a: b: c", "mapping values are not allowed here"),
        ("", "x has no value: write x=VALUE, or x=null for none."),
        (" ", "x has no value"),
        ("#3", "x has no value"),
    ],
)
def test_what_is_no_value_is_one_sentence(text, sentence):
    with pytest.raises(UserError) as error:
        read_value("x", text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_fault_in_a_file_is_told_with_file_and_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("models: [a]\ntasks: [b]\nmodels: [c]\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_file(path)
    assert str(error.value) == f"{path}, line 3: the key 'models' stands in line 1 already."
    path.write_text("a: 1\nb: [1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml, line 3: expected"):
        read_file(path)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_file(tmp_path / "none.yaml")
    with pytest.raises(UserError, match=r"cannot be read: Is a directory\."):
        read_file(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: grün".encode("latin-1"))
    with pytest.raises(UserError, match=r"not a text in UTF-8: byte 5 is wrong\."):
        read_file(path)


@pytest.mark.parametrize(
    "value",
    [
        {"a": "1e-1", "b": 1e-07, "c": "1:30", "d": "grün", "e": None, "f": "null", "g": "no"},
        {"deep": [1, [2.5, {"x": True}], "2024-01-01", "", "0x1F", "010", ".5", "1_000"]},
    ],
)
def test_what_is_written_is_read_back_as_it_was(value):
    assert read_text(dump(value), "text") == value


@pytest.mark.parametrize("path", sorted(DATA.glob("**/*.yaml")), ids=lambda path: path.name)
def test_the_files_of_the_project_mean_what_they_meant_in_yaml_1_1(path):
    assert read_file(path) == yaml.safe_load(path.read_text(encoding="utf-8"))
