"""Debian's Chromium without a window, by Playwright; and axe-core, which looks for what keeps people out."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.interop import find_program

ROOT = Path(__file__).parents[2]
AXE = ROOT / "tests" / "interop" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "screenshots"
PHONE, DESK = 360, 1600
_SERIOUS = ("serious", "critical")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    executable = find_program("chromium")
    # Chromium's own sandbox does not work for root; the pages are ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """`complaints`: what the browser wrote to its console: script errors, refused content, answers of 4xx and 5xx."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def accessibility(self) -> list[str]:
        """The serious findings of axe-core."""
        # Into the page's world by the debugger: the page's own policy refuses it otherwise.
        await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for each in found["violations"]
            if each["impact"] in _SERIOUS
            for node in each["nodes"]
        ]

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width

    async def shoot(self, name: str) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        await self.page.screenshot(path=path, full_page=True)
        return path


@asynccontextmanager
async def tab(browser: Browser, base: str, width: int = DESK, **options: Any) -> AsyncIterator[Tab]:
    """With cookies of its own. `options` of Playwright's context: color_scheme, java_script_enabled, …"""
    context: BrowserContext = await browser.new_context(
        base_url=base, viewport={"width": width, "height": 900}, reduced_motion="reduce", **options
    )
    context.set_default_timeout(20_000)
    try:
        yield Tab(await context.new_page())
    finally:
        await context.close()


async def log_in(page: Page, token: str) -> None:
    await page.goto("/login")
    await page.get_by_label("Admin token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/")
