"""What a template says is what a session gets, through the host agent and into the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions.hostagent.supervisor import spec_of
from sessions.models import DesktopSession, SessionTemplate
from sessions.spawners.base import SpawnError
from sessions.spawners.limits import Limits
from sessions.states import Reason, State

from .conftest import ALIAS, Installation, wait_for


@pytest.fixture
def session(db: None) -> DesktopSession:
    template = SessionTemplate.objects.create(
        **{"name": "A", "slug": "a", "kind": "kiosk", "command": "xterm", "environment": "A=1\nB=x y"},
        **{"locale": "de_DE.UTF-8", "keyboard_layout": "de", "dpi": 120, "maximum_width": 2560, "maximum_height": 1440},
        **{"home": "persistent", "gpu": True, "network": "internet", "needs_gl": True},
        **{"cpu": 0.5, "memory_mb": 700, "processes": 99, "tmp_mb": 20, "home_mb": 30},
    )
    owner = User.objects.create_user("olga")
    return DesktopSession.objects.create(owner=owner, template=template, name="A", width=800, height=600)


def test_a_spec_says_all_that_its_template_says(session: DesktopSession) -> None:
    spec = spec_of(session)
    assert dict(spec.environment) == {"A": "1", "B": "x y"}
    assert (spec.kind, spec.locale, spec.keyboard_layout, spec.dpi) == ("kiosk", "de_DE.UTF-8", "de", 120)
    assert (spec.width, spec.height, spec.maximum_width, spec.maximum_height) == (800, 600, 2560, 1440)
    assert spec.limits == Limits(cpu=0.5, memory_mb=700, processes=99, tmp_mb=20, home_mb=30)
    assert (spec.home, spec.owner, spec.gpu, spec.network) == ("persistent", str(session.owner_id), True, "internet")


def test_a_screen_larger_than_its_template_allows_by_now_still_begins(session: DesktopSession) -> None:
    session.width = 4000
    assert spec_of(session).maximum_width == 4000


def test_an_environment_that_went_past_the_forms_starts_nothing(session: DesktopSession) -> None:
    session.template.environment = "LD_PRELOAD=/tmp/x.so"
    with pytest.raises(SpawnError, match="LD_PRELOAD is set by the platform") as caught:
        spec_of(session)
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND


@pytest.mark.usefixtures("root")
def test_environment_keyboard_and_resolution_reach_the_programs_of_a_sandbox(installation: Installation) -> None:
    pk = installation.launch("sh -c '(env; xmodmap -pke; xdpyinfo) >$HOME/seen; exec sleep 60'", kind="kiosk")
    values: dict[str, Any] = {"environment": "GREETING=a  b; $(id)", "keyboard_layout": "de(nodeadkeys)", "dpi": 144}
    SessionTemplate.objects.using(ALIAS).update(**values)
    installation.start_agent()
    installation.until(pk, State.RUNNING)
    seen = installation.home(pk) / "seen"
    wait_for(lambda: seen.exists() and "depth of root window" in seen.read_text(), 10, "the programs")
    text = seen.read_text()
    assert "GREETING=a  b; $(id)\n" in text and "LANG=C.UTF-8\n" in text and "STRIPEDESK" not in text
    assert "keycode  29 = z Z" in text and "resolution:    144x14" in text
