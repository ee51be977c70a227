"""Raw SQL of revisions as steps: nothing in it is read as less than it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.gates.migrating.statements import is_volatile, steps_of_statement
from pytest_artisan.gates.migrating.steps import Fact, Kind


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_is_read_or_unread_and_never_an_error(text: str) -> None:
    for step in steps_of_statement(text, "postgresql"):
        assert isinstance(step.kind, Kind)


_WORDS = (
    "ALTER TABLE t",
    "ADD COLUMN c int",
    "DROP COLUMN c",
    "CASCADE",
    "NOT VALID",
    ";",
    "--",
    "$$",
    "'",
    "UPDATE t SET a=1",
)


@given(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_mixture_hides_a_dropped_table(words: list[str]) -> None:
    """Ahead of anything that ends it, the statement is seen, or the whole is unread."""
    kinds = {step.kind for step in steps_of_statement(f"DROP TABLE x; {' '.join(words)}", "postgresql")}

    assert kinds & {Kind.DROP_TABLE, Kind.UNREAD}


@pytest.mark.parametrize(
    ("default", "expected"),
    [("0", False), ("'x'::text", False), ("now()", False), ("CURRENT_DATE", False), ("ARRAY[1]::int[]", False),
     ("clock_timestamp()", True), ("nextval('s')", True), ("uuid_generate_v4()", True), ("lower('A')", True), ("((", True)],
)  # fmt: skip
def test_which_defaults_differ_from_row_to_row(default: str, expected: bool) -> None:
    assert is_volatile(default) is expected


def test_names_are_folded_as_postgresql_does() -> None:
    [step] = steps_of_statement('ALTER TABLE S."Big" ADD CONSTRAINT K CHECK (A > 0) NOT VALID', "postgresql")

    assert (step.table, step.name, step.facts) == ("s.Big", "k", frozenset({Fact.NOT_VALID}))
    assert steps_of_statement('DROP TABLE "a.b"', "postgresql")[0].table != ""


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (r"SELECT 'a\'; DROP TABLE t; --'", "postgresql"),
        ("SELECT $a$ $$ $a$; DROP TABLE t; SELECT $b$ $b$", "postgresql"),
        ("SELECT 1 -- x\r; DROP TABLE t", "postgresql"),
        ("/* /* */ DROP TABLE t", "sqlite"),
        ("SELECT [x'y]; DROP TABLE t; --']", "sqlite"),
        ("CREATE TABLE x AS WITH y AS (DELETE FROM t RETURNING *) SELECT * FROM y", "postgresql"),
    ],
)
def test_no_quoting_hides_a_statement(text: str, dialect: str) -> None:
    assert {step.kind for step in steps_of_statement(text, dialect)} & {Kind.DROP_TABLE, Kind.WRITE}
