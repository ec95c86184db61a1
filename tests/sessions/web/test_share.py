"""Share links: shown once, stored hashed, revoked for good; and their tickets."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions import tickets
from sessions.access import access_session
from sessions.actions import ActionError
from sessions.actions.share import OPEN_LINKS_PER_SESSION, NewLink, do_revoke, do_share
from sessions.models import DesktopSession, ShareLink
from sessions.permissions import Permission


def share(user: User, session: DesktopSession, role: str = "viewer", **values: Any) -> NewLink:
    return do_share(access_session(user, session.pk, Permission.SHARE), user, role, **values)


def ask(link_id: str, body: Any, client: Client | None = None, **extra: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return (client or Client()).post(f"/v/{link_id}/ticket", text, content_type="application/json", **extra)


def test_the_page_shows_the_link_once_and_keeps_only_its_hash(
    anna: User, as_user: Any, make_session: Any, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    session, client = make_session(anna), as_user(anna)
    url = f"/s/{session.pk}/share/"
    with caplog.at_level(logging.DEBUG):
        answer = client.post(url, {"role": "viewer", "label": "Bob <b>", "lifetime": "day"})
    page = answer.content.decode()
    link = ShareLink.objects.get()
    start = page.index(f"http://testserver/v/{link.pk}#")
    secret = page[start : page.index('"', start)].split("#")[1]
    assert link.matches(secret)
    assert page.count(secret) == 1
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Bob &lt;b&gt;" in page and "Bob <b>" not in page
    assert timedelta(hours=23) < link.expires_at - timezone.now() < timedelta(hours=25)
    # Never again: not on any page, not in the database, the cookies or the log.
    assert secret not in client.get(url).content.decode()
    assert secret not in client.get("/").content.decode()
    assert secret not in str(ShareLink.objects.values().get())
    assert secret not in str(client.cookies) and secret not in str(dict(client.session))
    assert secret not in caplog.text
    assert secret not in repr(NewLink(link, secret))


def test_a_viewers_link_gives_a_single_use_ticket(anna: User, make_session: Any, redis_url: str) -> None:
    made = share(anna, make_session(anna))
    answer = ask(made.link.pk, {"secret": made.secret})
    assert answer.status_code == 200
    ticket = answer.json()["ticket"]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (key,) = client.keys("stripedesk:ticket:*")
        assert ticket not in key
        assert 0 < client.ttl(key) <= 30
        assert json.loads(client.get(key)) == {"link": made.link.pk}
    assert async_to_sync(tickets.redeem)(ticket) == made.link.pk
    assert async_to_sync(tickets.redeem)(ticket) is None
    made.link.refresh_from_db()
    assert made.link.last_used_at is not None


@pytest.mark.parametrize("ticket", ["", "nothing", "x" * 129, "../../etc", "\x00"])
def test_invented_tickets_open_nothing(redis_url: str, ticket: str) -> None:
    assert async_to_sync(tickets.redeem)(ticket) is None


@pytest.mark.parametrize("wrong", ["secret", "unknown", "expired", "revoked"])
def test_wrong_expired_and_revoked_links_answer_alike(
    anna: User, make_session: Any, redis_url: str, wrong: str
) -> None:
    made = share(anna, make_session(anna))
    secret, link_id = made.secret, made.link.pk
    if wrong == "secret":
        secret = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    elif wrong == "unknown":
        link_id = "nosuchlink"
    elif wrong == "expired":
        ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        ShareLink.objects.update(revoked_at=timezone.now())
    answer = ask(link_id, {"secret": secret})
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "link-closed",
        "message": "This link does not work. It may have been revoked or have expired; ask for a new one.",
    }


@pytest.mark.parametrize("body", ["", "{", "[]", "7", '{"secret":7}', '{"secret":null}', "{}", "[" * 900, b"\xff\xfe"])
def test_malformed_ticket_requests_are_refused(db: None, redis_url: str, body: Any) -> None:
    answer = ask("somelink", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_an_oversized_ticket_request_is_refused(db: None, redis_url: str) -> None:
    assert ask("somelink", {"secret": "x" * 4096}).status_code == 400


def test_a_link_to_an_ended_session_says_so(anna: User, make_session: Any, redis_url: str) -> None:
    session = make_session(anna)
    made = share(anna, session)
    DesktopSession.objects.update(state="ended")
    answer = ask(made.link.pk, {"secret": made.secret})
    assert (answer.status_code, answer.json()["code"]) == (410, "session-ended")


def test_guessing_is_slowed_down_and_others_are_not(anna: User, make_session: Any, redis_url: str) -> None:
    made = share(anna, make_session(anna))
    codes = [ask(made.link.pk, {"secret": "wrong"}).status_code for _ in range(21)]
    assert codes == [404] * 20 + [429]
    refused = ask(made.link.pk, {"secret": made.secret})
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many")
    assert refused.headers["Retry-After"] == "60"
    assert ask(made.link.pk, {"secret": made.secret}, REMOTE_ADDR="192.0.2.7").status_code == 200


def test_a_forwarded_header_does_not_reset_the_counter(db: None, redis_url: str) -> None:
    for number in range(20):
        ask("somelink", {"secret": "wrong"}, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert ask("somelink", {"secret": "wrong"}, HTTP_X_FORWARDED_FOR="198.51.100.99").status_code == 429


def test_without_redis_the_link_says_try_again(anna: User, make_session: Any, private_redis: Any) -> None:
    made = share(anna, make_session(anna))
    private_redis.stop()
    answer = ask(made.link.pk, {"secret": made.secret})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "Try again" in answer.json()["message"]
    private_redis.start()
    assert ask(made.link.pk, {"secret": made.secret}).status_code == 200


def test_a_ticket_needs_a_post_and_the_pages_csrf_token(anna: User, make_session: Any, redis_url: str) -> None:
    made = share(anna, make_session(anna))
    client = Client(enforce_csrf_checks=True)
    assert ask(made.link.pk, {"secret": made.secret}, client).status_code == 403
    assert client.get(f"/v/{made.link.pk}/ticket").status_code == 405
    page = client.get(f"/v/{made.link.pk}").content.decode()
    start = page.index("viewer-config")
    config = json.loads(page[page.index(">", start) + 1 : page.index("</script>", start)])
    assert ask(made.link.pk, {"secret": made.secret}, client, HTTP_X_CSRFTOKEN=config["csrf"]).status_code == 200


def test_the_link_page_tells_strangers_nothing(anna: User, make_session: Any, redis_url: str) -> None:
    session = make_session(anna, name="Salaries")
    made = share(anna, session)
    client = Client()
    real, invented = client.get(f"/v/{made.link.pk}"), client.get("/v/invented-id1")
    assert real.status_code == invented.status_code == 200
    assert real.headers["Referrer-Policy"] == "no-referrer"
    page = real.content.decode()
    assert "Salaries" not in page and str(session.pk) not in page and made.secret not in page
    assert f'"socket": "/ws/link/{made.link.pk}/"' in page
    assert f'"ticket": "/v/{made.link.pk}/ticket"' in page
    assert client.get("/v/" + "x" * 17).status_code == 404
    assert client.get("/v/a%3Cscript%3E").status_code == 404


def test_revoking_tells_consumers_and_works_once(anna: User, make_session: Any, listen: Any) -> None:
    session = make_session(anna)
    made = share(anna, session)
    access = access_session(anna, session.pk, Permission.SHARE)
    group = f"session.{session.sid}"
    with listen(group) as heard:
        do_revoke(access, made.link.pk)
    assert heard == [(group, {"type": "session.access"})]
    with pytest.raises(ActionError) as refusal:
        do_revoke(access, made.link.pk)
    assert refusal.value.code == "already-revoked"
    with pytest.raises(ActionError, match="no such link"):
        do_revoke(access, "nosuchlink")


def test_another_sessions_link_cannot_be_revoked(anna: User, bob: User, make_session: Any, redis_url: str) -> None:
    made = share(bob, make_session(bob))
    with pytest.raises(ActionError, match="no such link"):
        do_revoke(access_session(anna, make_session(anna).pk, Permission.SHARE), made.link.pk)
    made.link.refresh_from_db()
    assert made.link.open


def test_nobody_hands_out_more_than_he_may_do(anna: User, root: User, make_session: Any) -> None:
    session = make_session(anna)
    assert share(anna, session, "collaborator").link.role == "collaborator"
    assert share(root, session, "viewer").link.role == "viewer"
    with pytest.raises(ActionError, match="Only the owner"):
        share(root, session, "collaborator")
    for role in ("owner", "operator", "root", ""):
        with pytest.raises(ActionError) as refusal:
            share(anna, session, role)
        assert refusal.value.code == "unknown-role"


def test_a_link_cannot_be_born_dead_or_endless_in_number(anna: User, make_session: Any) -> None:
    session = make_session(anna)
    with pytest.raises(ActionError, match="expired already"):
        share(anna, session, expires_at=timezone.now())
    with pytest.raises(ActionError, match="up to 80"):
        share(anna, session, label="x" * 81)
    with pytest.raises(ActionError, match="has ended"):
        share(anna, make_session(anna, "ended"))
    ShareLink.objects.bulk_create(
        ShareLink(session=session, secret_hash="0" * 64) for _ in range(OPEN_LINKS_PER_SESSION)
    )
    with pytest.raises(ActionError) as refusal:
        share(anna, session)
    assert refusal.value.code == "too-many-links"


@pytest.mark.parametrize("form", [{"role": "owner"}, {"role": "viewer", "lifetime": "ever"}, {"label": "x" * 200}, {}])
def test_a_bad_form_makes_no_link(
    anna: User, as_user: Any, make_session: Any, redis_url: str, form: dict[str, str]
) -> None:
    answer = as_user(anna).post(f"/s/{make_session(anna).pk}/share/", form)
    assert answer.status_code == 200
    assert "error-text" in answer.content.decode()
    assert not ShareLink.objects.exists()


def test_the_page_revokes(anna: User, as_user: Any, make_session: Any, redis_url: str) -> None:
    session, client = make_session(anna), as_user(anna)
    made = share(anna, session, label="Bob")
    url = f"/s/{session.pk}/share/{made.link.pk}/revoke/"
    assert client.get(url).status_code == 405
    assert "is revoked" in client.post(url, follow=True).content.decode()
    assert "already been revoked" in client.post(url, follow=True).content.decode()
    assert ask(made.link.pk, {"secret": made.secret}).status_code == 404


@pytest.mark.parametrize(("kbps", "fps"), [(63, 0), (1_000_001, 0), (0, 241), (0, -1)])
def test_a_bound_out_of_range_is_refused(anna: User, make_session: Any, kbps: int, fps: int) -> None:
    session = make_session(anna)
    with pytest.raises(ActionError, match="bound") as refused:
        share(anna, session, max_kbps=kbps, max_fps=fps)
    assert refused.value.code == "invalid-bound" and not session.share_links.exists()


def test_the_owner_bounds_a_link_and_sees_it(anna: User, as_user: Any, make_session: Any) -> None:
    session, client = make_session(anna), as_user(anna)
    url = f"/s/{session.pk}/share/"
    form = {"role": "viewer", "label": "Thin", "lifetime": "day", "max_kbps": "500", "max_fps": "10"}
    assert client.post(url, form).status_code == 200
    link = session.share_links.get()
    assert (link.max_kbps, link.max_fps) == (500, 10)
    page = client.get(url).content.decode()
    assert "at most 500 kbit/s" in page and "at most 10 pictures a second" in page
    client.post(url, {**form, "max_kbps": "5"})
    assert session.share_links.count() == 1
