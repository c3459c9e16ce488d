"""API keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.keys import KEY_SHAPE, create_key, find_key, list_keys, revoke_key
from core.db import transaction
from core.errors import Refused
from tests.catalog.builders import catalog_text, scalar


def test_a_key_speaks_for_its_merchant(books: Engine) -> None:
    """A fresh key is found by its text and names whom it belongs to."""
    apply_text(books, catalog_text())
    with transaction(books) as connection:
        made = create_key(connection, "acme", "gateway")
        owner = find_key(connection, made.key)

    assert KEY_SHAPE.fullmatch(made.key)
    assert owner is not None
    assert (owner.key_id, owner.merchant_id) == (made.key_id, made.merchant_id)
    assert owner.merchant_id == scalar(books, "SELECT merchant_id FROM merchants")


def test_the_text_of_a_key_is_kept_nowhere(books: Engine) -> None:
    """The books hold its hash and its first letters; the value's own description hides it as well."""
    apply_text(books, catalog_text())
    with transaction(books) as connection:
        made = create_key(connection, "acme")

    assert made.key not in repr(made)
    stored = str(scalar(books, "SELECT string_agg(k::text, '') FROM api_keys k"))
    assert made.prefix in stored
    assert made.key[len(made.prefix) :] not in stored


def test_keys_differ(books: Engine) -> None:
    """No two keys are alike, nor do they begin alike more than chance wants."""
    apply_text(books, catalog_text())
    with transaction(books) as connection:
        keys = {create_key(connection, "acme").key for _ in range(100)}

    assert len({key[:9] for key in keys}) == 100


def test_a_revoked_key_speaks_for_nobody(books: Engine) -> None:
    """Revoking ends one key, not the others, and may be repeated without moving its moment."""
    apply_text(books, catalog_text())
    with transaction(books) as connection:
        gone, stays = create_key(connection, "acme"), create_key(connection, "acme")
    with transaction(books) as connection:
        revoke_key(connection, gone.key_id)
        first = list_keys(connection)[0].revoked_at
    with transaction(books) as connection:
        revoke_key(connection, gone.key_id)

        assert find_key(connection, gone.key) is None
        assert find_key(connection, stays.key) is not None
        assert list_keys(connection)[0].revoked_at == first


def test_keys_are_listed_by_merchant(books: Engine) -> None:
    """A list shows what may be told, of all merchants or of one."""
    apply_text(books, catalog_text() + "---\n" + catalog_text(merchant="other"))
    with transaction(books) as connection:
        create_key(connection, "acme", "one")
        made = create_key(connection, "other", "two")
        (other,) = list_keys(connection, "other")
        everybody = list_keys(connection)

    assert [key.name for key in everybody] == ["one", "two"]
    assert (other.key_id, other.merchant, other.prefix, other.revoked_at) == (made.key_id, "other", made.prefix, None)


@pytest.mark.parametrize(
    "key", ["", "bb_", "bb_short", "bb_" + "x" * 43, "aa_" + "x" * 43, "bb_" + "ü" * 43, "x" * 10_000]
)
def test_wrong_keys_speak_for_nobody(books: Engine, key: str) -> None:
    """Whatever is sent as a key, the answer is nobody, not an error."""
    with transaction(books) as connection:
        assert find_key(connection, key) is None


def test_unknown_names_are_refused(books: Engine) -> None:
    """A key needs an existing merchant, and revoking an existing key."""
    with transaction(books) as connection:
        with pytest.raises(Refused, match="merchant_unknown"):
            create_key(connection, "nobody")
        with pytest.raises(Refused, match="key_unknown"):
            revoke_key(connection, "key_0")
        with pytest.raises(Refused, match="name_too_long"):
            create_key(connection, "nobody", "x" * 201)


@given(st.text())
def test_only_our_own_shape_is_looked_up(text: str) -> None:
    """Text that is no key never reaches the books."""
    assert not KEY_SHAPE.fullmatch(text)
