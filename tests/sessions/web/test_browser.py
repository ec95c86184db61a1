"""The portal and the admin in a real browser: live cards, dialogs, sliders, copying, and life without scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from sessions.models import DesktopSession, QualityPreset, SessionTemplate, ShareLink

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & co"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def open_as(browser: Browser, live_server: Any, redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """``await open_as(user, path, **context options)`` gives a page; whatever it complains about fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    async def open_page(user: User, path: str, **options: Any) -> Page:
        from django.test import Client

        client = Client()
        await sync_to_async(client.force_login)(user)
        context = await browser.new_context(**options)
        contexts.append(context)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


async def change(session: DesktopSession, **values: Any) -> None:
    await DesktopSession.objects.filter(pk=session.pk).aupdate(**values)


async def test_a_card_follows_its_session(open_as: Any, anna: User, make_session: Any) -> None:
    session = await sync_to_async(make_session)(anna, "requested", name=HOSTILE)
    page = await open_as(anna, "/")
    card = page.locator(f'[data-session="{session.pk}"]')
    await expect(card.locator("[data-label]")).to_have_text("Waiting for a host")
    await expect(card.locator(".progress")).to_be_visible()
    await change(session, state="starting", stage="desktop")
    await expect(card.locator("[data-detail]")).to_have_text("Starting the desktop")
    await expect(card.locator(".progress")).to_have_attribute("aria-valuenow", "60")
    await change(session, state="running", stage="")
    await expect(card.locator("[data-label]")).to_have_text("Running")
    await expect(card.locator(".progress")).to_be_hidden()
    await expect(card.get_by_text("kbit/s")).to_be_visible()
    await change(session, state="failed", message="It broke.", ended_at=timezone.now())
    await expect(page.locator(".over-list")).to_contain_text("It broke.")
    await expect(page.locator(".session")).to_have_count(0)
    assert await page.title() == "Sessions · Stripedesk"


async def test_a_session_launched_elsewhere_appears(open_as: Any, anna: User, make_session: Any) -> None:
    page = await open_as(anna, "/")
    await expect(page.get_by_text("No session is running")).to_be_visible()
    await sync_to_async(make_session)(anna, name="From my phone")
    await expect(page.get_by_text("From my phone")).to_be_visible()


async def test_stopping_asks_in_a_dialog(open_as: Any, anna: User, make_session: Any) -> None:
    session = await sync_to_async(make_session)(anna, name=HOSTILE)
    page = await open_as(anna, "/")
    dialog = page.get_by_role("dialog")
    await page.get_by_role("link", name="Stop").click()
    await expect(dialog).to_contain_text(HOSTILE)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.get_by_role("link", name="Stop").click()
    await dialog.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("is being stopped")).to_be_visible()
    await session.arefresh_from_db()
    assert session.wanted == "stopped"


async def test_quality_is_a_menu_for_the_keyboard_too(
    open_as: Any, anna: User, make_session: Any, preset: QualityPreset
) -> None:
    session = await sync_to_async(make_session)(anna)
    page = await open_as(anna, "/")
    await page.locator("details.menu summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("now uses Balanced")).to_be_visible()
    await session.arefresh_from_db()
    assert session.preset_id == preset.pk


async def test_sliders_and_numbers_move_together(open_as: Any, anna: User) -> None:
    page = await open_as(anna, "/presets/new/")
    number = page.get_by_label("Framerate")
    slider = page.locator(".field", has=number).locator("input[type=range]")
    await number.fill("24")
    await expect(slider).to_have_value("24")
    await slider.fill("30")
    await expect(number).to_have_value("30")
    await page.get_by_label("Name").fill("Mine")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("“Mine” is saved.")).to_be_visible()
    assert (await QualityPreset.objects.aget()).settings["framerate"] == 30


@pytest.mark.parametrize("where", ["portal", "admin"])
async def test_a_new_link_is_copied(open_as: Any, root: User, make_session: Any, live_server: Any, where: str) -> None:
    session = await sync_to_async(make_session)(root)
    path = f"/s/{session.pk}/share/" if where == "portal" else f"/admin/desktops/desktopsession/{session.pk}/change/"
    page = await open_as(root, path, permissions=["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Create link").click()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    link = await ShareLink.objects.aget()
    assert copied.startswith(f"{live_server.url}/v/{link.pk}#")
    assert link.matches(copied.split("#")[1])


async def test_the_admin_launches_and_watches(open_as: Any, root: User, template: SessionTemplate) -> None:
    page = await open_as(root, "/admin/desktops/desktopsession/")
    await page.get_by_role("link", name="Launch").click()
    await page.get_by_role("button", name="Terminal").click()
    panel = page.locator("#sd-session")
    await expect(panel).to_contain_text("Waiting for a host")
    open_link = panel.get_by_role("link", name="Open", exact=True)
    await expect(open_link).to_be_hidden()
    session = await DesktopSession.objects.aget()
    await change(session, state="starting", stage="display")
    await expect(panel.locator('[aria-current="step"]')).to_have_text("Starting the display")
    await change(session, state="running", stage="")
    await expect(open_link).to_be_visible()
    assert await open_link.get_attribute("href") == f"/s/{session.pk}/"
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("is being stopped")).to_be_visible()


async def test_without_scripts_everything_is_a_page(
    open_as: Any, anna: User, make_session: Any, template: SessionTemplate
) -> None:
    page = await open_as(anna, "/", java_script_enabled=False)
    await page.get_by_role("button", name="Launch Terminal").click()
    session = await DesktopSession.objects.aget()
    assert page.url.endswith(f"/s/{session.pk}/")
    await page.goto(page.url.split("/s/")[0] + "/")
    await page.get_by_role("link", name="Stop").click()
    await page.get_by_role("button", name="Stop").click()
    await session.arefresh_from_db()
    assert session.wanted == "stopped"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_wider_than_a_phone(
    open_as: Any, root: User, make_session: Any, preset: QualityPreset, scheme: str
) -> None:
    session = await sync_to_async(make_session)(root, name="x" * 80)
    page = await open_as(root, "/", viewport={"width": 360, "height": 740}, color_scheme=scheme)
    base = page.url.rstrip("/")
    paths = ["/", "/presets/", "/presets/new/", f"/s/{session.pk}/share/", f"/s/{session.pk}/stop/", "/admin/"]
    for path in [*paths, f"/admin/desktops/desktopsession/{session.pk}/change/"]:
        await page.goto(base + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path


@pytest.mark.parametrize("width", [390, 1400])
async def test_a_template_is_edited_by_keyboard_on_any_screen(
    open_as: Callable[..., Any], root: User, template: SessionTemplate, width: int
) -> None:
    page = await open_as(
        root, f"/admin/desktops/sessiontemplate/{template.pk}/change/", viewport={"width": width, "height": 844}
    )
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.focus("#id_environment")
    await page.keyboard.type("LD_PRELOAD=x")
    await page.focus("#id_dpi")
    await page.keyboard.press("Enter")
    await expect(page.locator(".field-environment .errorlist")).to_contain_text("LD_PRELOAD is set by the platform")
    await page.fill("#id_environment", "GREETING=hello")
    await page.fill("#id_locale", "tlh_AA.UTF-8")
    await page.focus("#id_dpi")
    await page.keyboard.press("Enter")
    await expect(page.locator(".messagelist .warning")).to_contain_text("no locale tlh_AA.UTF-8")
    await template.arefresh_from_db()
    assert template.environment == "GREETING=hello"


async def test_a_countdown_shows_and_is_put_off(
    open_as: Any, anna: User, make_session: Any, redis_url: str, tmp_path: Any
) -> None:
    session = await sync_to_async(make_session)(anna)
    await SessionTemplate.objects.aupdate(idle_minutes=30)
    failed = {"ended_at": timezone.now(), "message": "The display could not be started."}
    over = await sync_to_async(make_session)(
        anna, "failed", name="Broken", log_tail=f"[desktop]\n{HOSTILE}\n" + "x" * 300, **failed
    )
    key = f"stripedesk:session:{session.sid}:ending"
    with redis.Redis.from_url(redis_url) as client:
        client.set(key, json.dumps({"reason": "idle", "left_s": 272}), ex=60)
        page = await open_as(anna, "/", viewport={"width": 390, "height": 844})
        await expect(page.get_by_text("Nobody uses it")).to_be_visible()
        await expect(page.locator("[data-ending-in]")).to_have_text("4:32")
        client.set(key, json.dumps({"reason": "too-old", "left_s": 61}), ex=60)
        await expect(page.get_by_text("as old as its template allows")).to_be_visible()
        await expect(page.get_by_role("button", name="Keep 2 h")).to_be_hidden()
        client.set(key, json.dumps({"reason": "idle", "left_s": 60}), ex=60)
        await page.get_by_text("Ended lately").click()
        await page.get_by_text("Last lines of its log").click()
        await expect(page.locator("pre")).to_contain_text(HOSTILE)
        await page.screenshot(path=tmp_path / "portal.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.get_by_role("button", name="Keep 2 h").press("Enter")
        await expect(page.get_by_text("is kept for 2 hours more")).to_be_visible()
        await session.arefresh_from_db()
        assert session.kept == 1
        client.delete(key)
        await expect(page.get_by_text("Nobody uses it")).to_be_hidden()
    page = await open_as(anna, f"/s/{over.pk}/", viewport={"width": 390, "height": 844})
    await expect(page.locator("pre")).to_contain_text(HOSTILE)
    await page.screenshot(path=tmp_path / "over.png", full_page=True)
    await page.get_by_role("button", name="Try again").click()
    again = await DesktopSession.objects.aget(name="Broken", state="requested")
    assert str(again.pk) in page.url
