"""The published schema says what is written, no more and no less, and the readers hold to it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_small import complaints
from reporting import a_journal, a_record, a_summary, a_sweep

from bptt_check import Subject, check
from bptt_check.errors import ReportError
from bptt_check.report import saved
from bptt_check.report.journal import read_journal
from bptt_check.report.json_report import json_report
from bptt_check.report.record import record_of
from bptt_check.report.schema import schema

PUBLISHED = Path(__file__).parents[1] / "docs" / "report-schema.json"
SCHEMA = schema()
RECORDS = (a_record(1), a_record(2, wrong=True), a_sweep())


def valid(row, name):
    return not complaints(row, {"$ref": f"#/$defs/{name}"}, SCHEMA)


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Each kind of document that is written, by its name in the schema."""
    folder = tmp_path_factory.mktemp("written")
    checked = record_of(check(Subject.from_variant("post", T=2, B=1, D=2, H=1)))
    head, *records, end = lines_of(a_journal(folder / "run.jsonl", *RECORDS, checked, planned=4))
    saved_head, *cases, saved_end = lines_of(saved.save(a_summary(*RECORDS, checked), folder / "runs", "main"))
    report = json.loads(json_report(a_summary(*RECORDS, checked)))
    kinds = {"header": [head], "record": records, "end": [end, saved_end], "saved": [saved_head], "saved_case": cases}
    return {**kinds, "report": [report]}


def test_the_published_schema_is_the_one_of_the_code():
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == SCHEMA, "python -m bptt_check.report.schema prints it"


def test_all_that_is_written_is_valid(written):
    for name, documents in written.items():
        for document in documents:
            assert complaints(document, {"$ref": f"#/$defs/{name}"}, SCHEMA) == []
            assert complaints(document, SCHEMA, SCHEMA) == []


def test_every_field_that_is_written_is_in_the_schema(written):
    for name, documents in written.items():
        known = SCHEMA["$defs"][name]["properties"]
        assert set().union(*documents) <= known.keys()
        assert set(SCHEMA["$defs"][name]["required"]) <= set.intersection(*map(set, documents))
    assert written["report"][0].keys() == SCHEMA["$defs"]["report"]["properties"].keys()


def test_a_field_that_is_missing_or_of_another_type_is_not_valid(written):
    for name, documents in written.items():
        for key in SCHEMA["$defs"][name]["required"]:
            broken = copy.deepcopy(documents[0])
            del broken[key]
            assert not valid(broken, name), f"{name} without {key}"
            broken[key] = {"a": [object]}
            assert not valid(broken, name) or key in ("environment", "timing", "case", "data"), f"{name}, {key}"
    assert not valid({**written["record"][0], "more": 1}, "record")
    assert not valid({**written["record"][0], "schema": 3}, "record")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["nan", "AGREES", "NOT_COMPARED", ""]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_readers_take_what_the_schema_takes(written, tmp_path, data):
    name = data.draw(st.sampled_from(["record", "saved_case"]))
    row = copy.deepcopy(data.draw(st.sampled_from(written[name])))
    place = row
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(values)
    head, end = (written["header"], written["end"]) if name == "record" else (written["saved"], written["end"])
    rows = [head[0], row, {**end[0], "recorded": 1}]
    path = tmp_path / "0001.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    try:
        read_journal(path) if name == "record" else saved.load(path)
        taken = True
    except ReportError as error:
        taken = "one is there twice" in str(error)  # which no schema can say
    whole = all(not isinstance(each, float) or not each.is_integer() for each in numbers_in(place[key]))
    assert taken == valid(row, name) or not whole  # 1.0 is an integer to JSON Schema, and not to the readers


def numbers_in(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(item)
    else:
        yield value


def test_other_validators_say_the_same(written):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator
    validator.check_schema(SCHEMA)
    for documents in written.values():
        for document in documents:
            validator(SCHEMA).validate(document)


def test_what_format_1_wrote_is_read_as_before(tmp_path):
    path = a_journal(tmp_path / "run.jsonl", *RECORDS)
    old = []
    for row in lines_of(path):
        row["schema"] = 1
        row.pop("causes", None)
        for block in row.get("blocks", []):
            del block["norms"]
        old.append(json.dumps(row) + "\n")
    path.write_text("".join(old))
    log = read_journal(path)
    assert log.complete
    assert [record.causes for record in log.records] == [(), (), ()]
    assert {block["norms"] for record in log.records for block in record.blocks} == {None}
    assert saved.load(path).rows == saved.of(a_summary(*RECORDS)).rows


def test_the_small_validator_can_say_no():
    assert complaints([1], {"type": "array", "prefixItems": [{"type": "string"}], "items": False}, {})
    assert complaints(True, {"enum": [1]}, {}) and not complaints(1, {"enum": [1]}, {})
    with pytest.raises(KeyError):
        complaints(1, {"maximum": 3}, {})
