"""Templates: what is refused and why, who may have which, and rows from before a field was there."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import ValidationError
from django.db import connection

from sessions.environment import MOST, RESERVED, TEXT_LENGTH, parse_environment
from sessions.models import SessionTemplate


def make(**values: Any) -> SessionTemplate:
    return SessionTemplate(**{"name": "A", "slug": "a", "kind": "application", "command": "xterm", **values})


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("A=1\r\nB_2=x=y\n\n# said why\n  C = spaced \n", {"A": "1", "B_2": "x=y", "C": " spaced "}),
        ("EMPTY=", {"EMPTY": ""}),
        ("GREETING=Grüße, 世界", {"GREETING": "Grüße, 世界"}),
        ("LC_TIME=de_DE.UTF-8", {"LC_TIME": "de_DE.UTF-8"}),
        ("A=$(reboot); `x` \"'", {"A": "$(reboot); `x` \"'"}),  # a value is never read by a shell
    ],
)
def test_an_environment_is_read(text: str, variables: dict[str, str]) -> None:
    assert parse_environment(text) == variables
    make(environment=text).full_clean(validate_unique=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A", "Line 1 has no '='"),
        ("OK=1\n=x", "Line 2: '' is not a variable's name"),
        ("1A=x", "not a variable's name"),
        ("A-B=x", "not a variable's name"),
        ("Ä=x", "not a variable's name"),
        ("A" * 65 + "=x", "not a variable's name"),
        ("A=1\nA=2", "Line 2: A is set twice"),
        ("A=" + "x" * 1025, "longer than 1024"),
        ("A=a\x1b[2J", "control character"),
        ("A=a\0b", "control character"),
        ("A=a\x0bB=c", "control character"),
        ("A=\u202edesrever", "control character"),
        ("\n".join(f"V{i}=" for i in range(MOST + 1)), f"at most {MOST}"),
        ("#" * (TEXT_LENGTH + 1), "characters long"),
        *((f"{name}=x", f"{name} is set by the platform") for name in sorted(RESERVED)),
        ("LD_PRELOAD=/tmp/x.so", "set by the platform"),
        ("BASH_FUNC_ls%%=() { :; }", "not a variable's name"),
        ("STRIPEDESK_SESSION=0", "set by the platform"),
    ],
)
def test_an_environment_that_could_do_harm_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_environment(text)
    assert said in str(raised.value)
    with pytest.raises(ValidationError) as refused:
        make(environment=text).full_clean(validate_unique=False)
    assert "environment" in refused.value.message_dict


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("locale", value) for value in ("de_DE.UTF-8", "C.UTF-8", "ca_ES.UTF-8@valencia", "eo.UTF-8", "ber_DZ.utf8")),
        *(("keyboard_layout", value) for value in ("us", "de(nodeadkeys)", "us,ru", "fr(bepo),gr,il(phonetic),us")),
        *(("dpi", value) for value in (48, 96, 384)),
        *(("cpu", value) for value in (0.05, 0.5, 64)),
    ],
)
def test_sensible_values_are_taken(field: str, value: Any) -> None:
    make(**{field: value}).full_clean(validate_unique=False)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        *(({"locale": value}, "locale") for value in ("", "de_DE", "de_DE.ISO-8859-1", "../x.UTF-8", "C.UTF-8\n")),
        *(
            ({"keyboard_layout": value}, "keyboard_layout")
            for value in ("", "US", "de;reboot", "us -option x", "de(", "a,b,c", "us,us,us,us,us", "us\n", "../../x")
        ),
        *(({"dpi": value}, "dpi") for value in (0, 47, 385, -1)),
        *(({"cpu": value}, "cpu") for value in (0, -1, 5000, float("nan"), float("inf"))),
        *(({name: 0}, name) for name in ("memory_mb", "processes", "tmp_mb", "home_mb")),
        ({"command": "xterm 'x"}, "command"),
        ({"command": "xterm \x1b[0m"}, "command"),
        ({"command": "", "kind": "kiosk"}, "command"),
        ({"width": 2000}, "maximum_width"),
        ({"height": 1300}, "maximum_height"),
        ({"prewarm": 1, "home": "persistent"}, "prewarm"),
        ({"home": "shared"}, "home"),
    ],
)
def test_nonsense_is_refused_at_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make(**values).full_clean(validate_unique=False)
    assert list(refused.value.message_dict) == [field]


def test_groups_decide_who_may_have_a_template(anna: User, bob: User, root: User) -> None:
    staff, guests = Group.objects.create(name="staff"), Group.objects.create(name="guests")
    anna.groups.add(staff, guests)
    for name, groups, enabled in (
        ("open", [], True),
        ("both", [staff, guests], True),
        ("staff", [staff], True),
        ("off", [], False),
        ("off-staff", [staff], False),
    ):
        template = SessionTemplate.objects.create(name=name, slug=name, enabled=enabled)
        template.allowed_groups.set(groups)

    def seen(user: Any) -> list[str]:
        return sorted(SessionTemplate.objects.for_user(user).values_list("slug", flat=True))

    assert seen(anna) == ["both", "open", "staff"]
    assert seen(bob) == ["open"]
    assert seen(root) == ["both", "open", "staff"]
    assert seen(AnonymousUser()) == []
    anna.is_active = False
    assert seen(anna) == []
    bob.user_permissions.add(Permission.objects.get(codename="change_sessiontemplate"))
    assert seen(User.objects.get(pk=bob.pk)) == ["both", "open", "staff"]


def test_large_screens_of_old_rows_stay_possible(db: None) -> None:
    for slug, width, height in (("small", 800, 600), ("large", 3840, 2160)):
        SessionTemplate.objects.create(name=slug, slug=slug, width=width, height=height)
    migration = import_module("sessions.migrations.0004_template_fields")
    migration._widen(apps, SimpleNamespace(connection=connection))
    sizes = SessionTemplate.objects.order_by("width").values_list("maximum_width", "maximum_height")
    assert list(sizes) == [(1920, 1080), (3840, 2160)]
