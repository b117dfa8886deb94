"""How the product's name is spelt, and which names it cannot have."""

import pytest

from starter import record, reserved
from starter.names import Name
from starter.refusal import Refused
from starter.tree import Tree

OLD, NEW = Name("harbour"), Name("my-shop")


@pytest.mark.parametrize(
    ("path", "text", "spelt"),
    [
        ("fly.toml", 'app = "harbour"', 'app = "my-shop"'),
        ("render.yaml", "name: harbour-staging-web", "name: my-shop-staging-web"),
        ("Dockerfile", "-t harbour .", "-t my-shop ."),
        ("x.json", "secret:harbour/production-X", "secret:my-shop/production-X"),
        ("x.yaml", "harbour-staging@PROJECT.iam", "my-shop-staging@PROJECT.iam"),
        (
            "README.md",
            "# Harbour\nThe harbours of Harbourage",
            "# My Shop\nThe harbours of Harbourage",
        ),
        ("tests/check.py", "HARBOUR_SCHEMAS", "MY_SHOP_SCHEMAS"),
        ("x.py", "harbour_scratch_1", "my_shop_scratch_1"),
        ("x.md", "/srv/harbour/edge", "/srv/my_shop/edge"),
        ("x.md", "`/usr/local/bin/harbour`", "`/usr/local/bin/my_shop`"),
        ("x.md", "harbour-web@blue", "my_shop-web@blue"),
        ("x.md", "harbour-worker.service", "my_shop-worker.service"),
        ("x.yaml", "harbour-worker", "my-shop-worker"),
        ("deploy/vps/root.py", 'LIVE = "harbour"', 'LIVE = "my_shop"'),
        ("deploy/vps/provision/role.sql", "CREATE ROLE harbour", "CREATE ROLE my_shop"),
        ("deploy/vps/x.py", "apt.conf.d/52harbour", "apt.conf.d/52my_shop"),
        ("deploy/vps/units/harbour-web@.service",) * 2 + ("deploy/vps/units/my_shop-web@.service",),
        ("x.py", "harbourmaster, unharbour", "harbourmaster, unharbour"),
    ],
)
def test_each_place_gets_the_spelling_that_can_be_written_there(
    path: str, text: str, spelt: str
) -> None:
    assert OLD.respell(path, text, NEW) == spelt


@pytest.mark.parametrize(
    ("text", "longer"),
    [
        ("my-shop, my_shop_x, MY_SHOP_X", "my-own-shop, my_own_shop_x, MY_OWN_SHOP_X"),
        ("My Shop", "My Own Shop"),
        (
            "/srv/my_shop my-shop-web my_shop-web@",
            "/srv/my_own_shop my-own-shop-web my_own_shop-web@",
        ),
    ],
)
def test_a_name_with_hyphens_is_renamed_again_and_back(text: str, longer: str) -> None:
    assert NEW.respell("x", text, Name("my-own-shop")) == longer
    assert Name("my-own-shop").respell("x", longer, NEW) == text


def test_a_name_that_has_the_old_one_in_it_is_put_in_once() -> None:
    text = "harbour harbour_x HARBOUR_X Harbour /srv/harbour"
    assert OLD.respell("x", text, Name("new-harbour")) == (
        "new-harbour new_harbour_x NEW_HARBOUR_X New Harbour /srv/new_harbour"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is no name for a product"),
        ("My-Shop", "is no name for a product: lower-case letters and digits"),
        *((name, "is no name") for name in ("my_shop", "my--shop", "-shop", "shop-", "1st-shop")),
        *((name, "is no name") for name in ("my shop", "my.shop", "shop;id", "shöp", "shop\n")),
        ("class", "is a word of Python"),
        ("match", "is a word of Python"),
        ("asyncio", "is a module of Python's own library"),
        ("service", "is a name that others have on servers and platforms"),
        ("postgres", "is a name that others have"),
        ("bench", "is a folder or module here"),
        ("outbox", "is a part of service/"),
        ("monitoring", "is a target"),
        ("prometheus", "is a service of Compose"),
        ("sqlalchemy", "is a dependency"),
        ("celery-app", "stands in bench/jobs/"),
        ("an-endless-name-of-shops", "of an app of Heroku, which has 3 to 30"),  # target: heroku
        ("barn", "of a service account of Google Cloud, which has 6 to 30"),  # target: cloudrun
    ],
)
def test_a_name_that_cannot_be_had_is_refused_in_a_line(seen: Tree, name: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        reserved.refuse(Name(name), record.read(seen).name, seen)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).endswith(("first", "name", "such as my-product"))


def test_the_name_that_it_has_is_refused(seen: Tree) -> None:
    own = record.read(seen).name
    with pytest.raises(Refused, match=f"the product is called {own.plain} already"):
        reserved.refuse(own, own, seen)


# target: cloudrun
def test_a_limit_of_a_target_that_has_left_does_not_count(tree: Tree) -> None:
    tree.remove(tree.matching("deploy/cloudrun"))
    reserved.refuse(Name("barn"), record.read(tree).name, tree)


# end of target: cloudrun
