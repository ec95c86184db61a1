"""Who may open what: every page for every kind of visitor, and the door itself against a tiny model of it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.models import Permission as DjangoPermission
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sessions.access import AccessError, access_link, access_link_ticket, access_session
from sessions.models import QualityPreset, ShareLink
from sessions.models.share_link import hash_secret
from sessions.permissions import ROLE_PERMISSIONS, Permission, Role

PERMISSIONS = {
    Role.OWNER: {"view", "input", "settings", "share", "stop", "keep", "logs"},
    Role.OPERATOR: {"view", "share", "stop", "keep", "logs"},
    Role.COLLABORATOR: {"view", "input"},
    Role.VIEWER: {"view"},
}
"""Written out once more, so that a change of the table is a change of this test."""

NO_SESSION = uuid.UUID(int=7)
"""The id of no session. The same in every process, for the ids are part of the tests' names."""


def test_the_permission_table() -> None:
    assert {role: {p.value for p in allowed} for role, allowed in ROLE_PERMISSIONS.items()} == PERMISSIONS


@pytest.fixture
def people(anna: User, bob: User, root: User) -> dict[str, Any]:
    clerk = User.objects.create_user("clerk", password="pw-clerk-1", is_staff=True)
    operator = User.objects.create_user("operator", password="pw-oper-1", is_staff=True)
    operator.user_permissions.add(DjangoPermission.objects.get(codename="change_desktopsession"))
    former = User.objects.create_user("former", is_staff=True, is_active=False)
    former.user_permissions.add(DjangoPermission.objects.get(codename="change_desktopsession"))
    not_staff = User.objects.create_user("notstaff")
    not_staff.user_permissions.add(DjangoPermission.objects.get(codename="change_desktopsession"))
    return {
        "anonymous": AnonymousUser(),
        "owner": anna,
        "stranger": bob,
        "clerk": clerk,
        "operator": operator,
        "superuser": root,
        "former": former,
        "not-staff": not_staff,
    }


ROLES = {"owner": Role.OWNER, "operator": Role.OPERATOR, "superuser": Role.OPERATOR}


@pytest.mark.parametrize("permission", list(Permission))
def test_the_door_for_everybody(people: dict[str, Any], make_session: Any, permission: Permission) -> None:
    session = make_session(people["owner"])
    for name, person in people.items():
        role = ROLES.get(name)
        if role is not None and permission in PERMISSIONS[role]:
            assert access_session(person, session.pk, permission).role is role
            continue
        expected = "forbidden" if role else "unauthenticated" if name in ("anonymous", "former") else "unknown-session"
        with pytest.raises(AccessError) as refusal:
            access_session(person, session.pk, permission)
        assert refusal.value.code == expected, name


@pytest.mark.parametrize("session_id", ["", "x", "0" * 32, uuid.UUID(int=1), "../admin"])
def test_ids_that_are_none(anna: User, session_id: Any) -> None:
    with pytest.raises(AccessError) as refusal:
        access_session(anna, session_id, Permission.VIEW)
    assert refusal.value.code == "unknown-session"


PAGES = {
    "/s/{id}/": "view",
    "/s/{id}/stop/": "stop",
    "/s/{id}/share/": "share",
    "/s/{id}/preset/": "settings",
}


@pytest.mark.parametrize(("page", "permission"), PAGES.items())
def test_pages_of_a_session(
    people: dict[str, Any], as_user: Any, make_session: Any, redis_url: str, page: str, permission: str
) -> None:
    session = make_session(people["owner"], name="Salaries")
    url = page.format(id=session.pk)
    post = page.endswith("preset/")
    for name in ("owner", "stranger", "clerk", "operator", "superuser", "not-staff"):
        client = as_user(people[name])
        answer = client.post(url) if post else client.get(url)
        role = ROLES.get(name)
        if role and permission in PERMISSIONS[role]:
            assert answer.status_code in (200, 302), name
        else:
            assert answer.status_code == (403 if role else 404), name
            assert "Salaries" not in answer.content.decode()
    answer = Client().post(url) if post else Client().get(url)
    assert answer.url == f"/login/?next={url}"


@pytest.mark.parametrize(
    "url", ["/", "/sessions/", "/presets/", "/presets/new/", "/presets/1/", "/presets/1/delete/", f"/s/{NO_SESSION}/"]
)
def test_anonymous_visitors_see_only_the_login(db: None, redis_url: str, url: str) -> None:
    answer = Client().get(url)
    assert answer.status_code == 302
    assert answer.url == f"/login/?next={url}"


@pytest.mark.parametrize("url", ["/launch/", "/presets/default/", f"/s/{NO_SESSION}/preset/"])
def test_anonymous_posts_go_to_the_login(db: None, redis_url: str, url: str) -> None:
    assert Client().post(url).url.startswith("/login/")


def test_the_viewer_page_says_who_one_is(people: dict[str, Any], as_user: Any, make_session: Any) -> None:
    session = make_session(people["owner"], name="</script><script>alert(1)</script>")
    for name, role in ROLES.items():
        page = as_user(people[name]).get(f"/s/{session.pk}/").content.decode()
        assert f'"role": "{role}"' in page
        assert f'"socket": "/ws/session/{session.pk}/"' in page
        assert f'"share": "/s/{session.pk}/share/"' in page
        assert '<main id="stage"><canvas id="screen" tabindex="0"></canvas></main>' in page
        assert '<div id="veil" role="status">' in page
        assert "app/viewer.js" in page and "app/viewer.css" in page
        assert "<script>alert" not in page


@given(
    owner=st.booleans(),
    staff=st.booleans(),
    active=st.booleans(),
    superuser=st.booleans(),
    granted=st.sets(st.sampled_from(["view", "change", "add", "delete"])),
    permission=st.sampled_from(list(Permission)),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_access_agrees_with_a_model_of_it(
    anna: User,
    make_session: Any,
    owner: bool,
    staff: bool,
    active: bool,
    superuser: bool,
    granted: set[str],
    permission: Permission,
) -> None:
    visitor = User.objects.create(username=uuid.uuid4().hex, is_staff=staff, is_active=active, is_superuser=superuser)
    codenames = [f"{verb}_desktopsession" for verb in granted]
    visitor.user_permissions.set(DjangoPermission.objects.filter(codename__in=codenames))
    visitor = User.objects.get(pk=visitor.pk)  # Django caches permissions on the object
    session = make_session(visitor if owner else anna)

    if not active:
        model = "unauthenticated"
    elif owner:
        model = "owner"
    elif staff and (superuser or "change" in granted):
        model = "operator" if permission in PERMISSIONS[Role.OPERATOR] else "forbidden"
    else:
        model = "unknown-session"

    try:
        outcome = access_session(visitor, session.pk, permission).role.value
    except AccessError as error:
        outcome = error.code
    assert outcome == model


@given(
    secret_right=st.booleans(),
    known=st.booleans(),
    revoked=st.booleans(),
    expires_in=st.none() | st.integers(-100, 100).filter(lambda s: abs(s) > 5),
    role=st.sampled_from([Role.VIEWER, Role.COLLABORATOR]),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_links_agree_with_a_model_of_them(
    anna: User,
    make_session: Any,
    secret_right: bool,
    known: bool,
    revoked: bool,
    expires_in: int | None,
    role: Role,
) -> None:
    now = timezone.now()
    link = ShareLink.objects.create(
        session=make_session(anna),
        secret_hash=hash_secret("right"),
        role=role.value,
        revoked_at=now if revoked else None,
        expires_at=None if expires_in is None else now + timedelta(seconds=expires_in),
    )
    is_open = known and not revoked and (expires_in is None or expires_in > 0)
    link_id = link.pk if known else "unknown"
    for opens, attempt in (
        (is_open and secret_right, lambda: access_link(link_id, "right" if secret_right else "wrong")),
        (is_open, lambda: access_link_ticket(link_id)),
    ):
        try:
            access = attempt()
        except AccessError as error:
            assert (opens, error.code) == (False, "link-closed")
        else:
            assert opens
            assert access.role is role
            assert {p.value for p in access.permissions} == PERMISSIONS[role]


def test_every_post_is_protected_against_forgery(
    anna: User, make_session: Any, preset: QualityPreset, redis_url: str
) -> None:
    session = make_session(anna)
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    mine = QualityPreset.objects.create(name="Mine", owner=anna)
    for url in (
        "/launch/",
        "/logout/",
        f"/s/{session.pk}/stop/",
        f"/s/{session.pk}/preset/",
        f"/s/{session.pk}/share/",
        f"/s/{session.pk}/share/abc/revoke/",
        "/presets/new/",
        "/presets/default/",
        f"/presets/{mine.pk}/",
        f"/presets/{mine.pk}/delete/",
    ):
        assert client.post(url).status_code == 403, url
    session.refresh_from_db()
    assert session.wanted == "running"
    assert QualityPreset.objects.filter(pk=mine.pk).exists()
