"""Rows: statements that run on the driver mean what SQLAlchemy's own way means."""

from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy import Column as C
from sqlalchemy import Integer, MetaData, Table, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from service.db import database, fetch, insert, session
from service.rows import Prepared, insertion
from service.settings import Settings
from service.users.models import User

BY_EMAIL = select(User).where(User.email == bindparam("email"))
ADA = {"email": "ada@example.com", "password_hash": "-"}
COUNT = Prepared(select(func.count().label("people")).select_from(User))


def people() -> int:
    return int(fetch(COUNT)[0].people)


@pytest.fixture
def writing(app: Flask) -> Any:
    with app.test_request_context("/", method="POST"):
        yield


@pytest.fixture
def real(settings: Settings, shared_app: Flask) -> Any:
    """A write on the database itself, whose transaction is real; nothing of it is committed."""
    with shared_app.test_request_context("/", method="POST"):
        yield
        session.rollback()


def test_a_prepared_statement_gives_the_same_rows(writing: None) -> None:
    insert(User, **ADA)
    by_driver = fetch(Prepared(BY_EMAIL), email="ada@example.com")
    by_sqlalchemy = fetch(BY_EMAIL, email="ada@example.com")
    assert by_driver == [tuple(row) for row in by_sqlalchemy]
    assert by_driver[0]._fields == by_sqlalchemy[0]._fields


def test_values_of_the_statement_itself_are_kept(writing: None) -> None:
    insert(User, **ADA)
    found = fetch(Prepared(select(literal(7).label("seven")).where(User.email == ADA["email"])))
    assert found == [(7,)]


def test_a_value_that_is_missing_is_named(writing: None) -> None:
    with pytest.raises(DBAPIError, match="email"):
        fetch(Prepared(BY_EMAIL))


def test_an_insert_fills_in_the_defaults_of_both_sides(writing: None) -> None:
    row = insert(User, **ADA)
    assert (UUID(str(row.id)).version, row.token_generation, row.name) == (7, 0, None)
    assert row.created_at.tzinfo is not None


def test_an_insert_of_an_unknown_column_is_refused(writing: None) -> None:
    with pytest.raises(TypeError, match="users has no column nickname, phone"):
        insert(User, nickname="ada", phone="1", **ADA)


def test_a_broken_constraint_is_what_sqlalchemy_raises_and_shows_no_value(writing: None) -> None:
    insert(User, **ADA)
    with pytest.raises(IntegrityError) as caught:
        insert(User, **ADA)
    assert not caught.value.params and "[parameters" not in str(caught.value)
    assert not caught.value.connection_invalidated


THINGS = Table(
    "things",
    MetaData(),
    C("id", Integer, primary_key=True, default=func.random()),
    C("data", JSONB),
)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (select(THINGS.c.data), "JSONB.* is converted by SQLAlchemy"),
        (
            select(THINGS.c.id).where(THINGS.c.id.in_(bindparam("ids", expanding=True))),
            "an IN of any length",
        ),
    ],
)
def test_what_only_sqlalchemy_can_run_is_refused(
    writing: None, statement: Any, reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        fetch(Prepared(statement))


def test_a_default_that_is_sql_is_refused() -> None:
    with pytest.raises(TypeError, match=r"things\.id has a default of the database's"):
        insertion(THINGS, frozenset({"data"}))


def test_rows_and_objects_share_a_transaction_whichever_comes_first(real: None) -> None:
    before = people()
    insert(User, **ADA)
    session.add(User(email="bea@example.com", password_hash="-"))
    assert people() == before + 2  # what was added is flushed
    session.rollback()
    assert people() == before
    session.add(User(email="bea@example.com", password_hash="-"))
    session.flush()
    insert(User, **ADA)
    session.rollback()
    assert people() == before


@pytest.mark.parametrize("objects", [False, True], ids=["rows alone", "with objects"])
def test_a_commit_is_of_both(shared_app: Flask, objects: bool) -> None:
    with shared_app.test_request_context("/", method="POST"):
        if objects:
            session.add(User(email="bea@example.com", password_hash="-"))
        row = insert(User, **ADA)
        session.commit()
    with shared_app.app_context(), Session(database().engine) as other:
        found = other.get(User, row.id)
        assert found is not None
        everybody = other.query(User).where(User.password_hash == "-")
        assert everybody.count() == (2 if objects else 1)
        everybody.delete()
        other.commit()


def test_what_is_not_committed_is_gone_and_the_connection_is_clean(shared_app: Flask) -> None:
    with shared_app.test_request_context("/", method="POST"):
        insert(User, **ADA)
    with shared_app.test_request_context("/"):
        assert fetch(Prepared(BY_EMAIL), email=ADA["email"]) == []
    with shared_app.app_context(), database().engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None and driver.pgconn.transaction_status == TransactionStatus.IDLE


def test_a_connection_that_ends_under_a_statement_is_given_up(shared_app: Flask) -> None:
    end_myself = Prepared(select(func.pg_terminate_backend(func.pg_backend_pid()).label("ended")))
    with shared_app.test_request_context("/", method="POST"):
        with pytest.raises(OperationalError) as caught:
            fetch(end_myself)
        assert caught.value.connection_invalidated
    with shared_app.test_request_context("/", method="POST"):
        assert people() >= 0
