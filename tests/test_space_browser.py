"""The Space as people see it: a real Chromium clicks, types and looks; axe-core finds no serious fault.

`SPACE_SCREENSHOTS` names a folder that gets a picture of each state.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from space_served import SCRIPTED, Served

pytestmark = pytest.mark.slow
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
JUDGED = 30_000  # milliseconds that a question may take


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(SCRIPTED) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


class Visit:
    """A page that has been opened, and what went wrong in it."""

    def __init__(self, browser: Any, url: str, size: dict[str, int], dark: bool = False) -> None:
        scheme: Any = "dark" if dark else "light"
        self.context = browser.new_context(viewport=size, color_scheme=scheme)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", self._note_failed)
        self.foreign: set[str] = set()
        self.page.on("response", self._note)
        self.url = url
        self.page.goto(url)
        self.page.locator("#go").wait_for()

    def _note_failed(self, request: Any) -> None:
        if "/queue/data" not in request.url:  # Gradio ends this stream by breaking it off
            self.faults.append(f"failed: {request.url}")

    def _note(self, response: Any) -> None:
        if not response.url.startswith((self.url.split("?")[0], "data:", "blob:")):
            self.foreign.add(response.url)

    def judge(self) -> None:
        self.page.locator("#go").click()
        self.page.locator(".grm-result:not(.is-done)").wait_for(timeout=JUDGED)  # an older answer may stand there
        self.page.locator(".grm-result.is-done").wait_for(timeout=JUDGED)

    def picture(self, name: str) -> None:
        folder = os.environ.get("SPACE_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    def fits(self) -> bool:
        """Nothing of the page stands beyond its right edge."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

    def axe(self) -> list[str]:
        """The serious and critical findings."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.wait_for_timeout(600)  # what fades in has little contrast until it is there
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture(params=["desktop", "phone"])
def visit(request: pytest.FixtureRequest, browser: Any, served: Served) -> Iterator[Visit]:
    opened = Visit(browser, served.url, PHONE if request.param == "phone" else DESKTOP)
    opened.name = request.param  # type: ignore[attr-defined]
    yield opened
    opened.context.close()
    assert not opened.faults


def test_a_question_is_judged_before_your_eyes(visit: Visit) -> None:
    name = visit.name  # type: ignore[attr-defined]
    visit.picture(f"{name}-1-empty")
    visit.page.locator("#go").click()
    seen = set()
    visit.page.locator(".grm-result .sample").first.wait_for(timeout=JUDGED)
    while not visit.page.locator(".grm-result.is-done").count():
        seen.add(visit.page.locator(".grm-result .sample").count())
        if len(seen) == 3:
            visit.picture(f"{name}-2-growing")
        visit.page.wait_for_timeout(40)
    assert len(seen) >= 3
    assert visit.page.locator(".grm-result .sample").count() == 8
    assert visit.page.locator(".grm-result .sample.out").count() >= 4
    assert visit.page.locator(".grm-result .headline").inner_text() == "Response 4 wins"
    assert visit.page.locator(".grm-result .scores .score").count() == 4
    visit.picture(f"{name}-3-done")
    assert not visit.axe()
    assert visit.fits()


def test_hostile_text_stays_text(visit: Visit) -> None:
    visit.page.locator("#response-1 textarea").fill("<img src=x onerror=\"document.title='owned'\">{{1+1}}")
    visit.judge()
    text = visit.page.locator(".grm-result").inner_text()
    assert "{{7*7}}${7*7}" in text
    assert "onerror" in text
    assert not visit.page.locator(".grm-result img").count()
    assert visit.page.title() != "owned"


def test_responses_come_and_go(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Rice").click()
    page.locator("#response-3").wait_for(state="hidden")
    page.locator("#add").click()
    page.locator("#response-3 textarea").fill("Use a rice cooker.")
    visit.judge()
    assert page.locator(".grm-result .scores .score").count() == 3
    page.locator("#remove").click()
    page.locator("#response-3").wait_for(state="hidden")
    page.locator("#remove").click()
    page.wait_for_timeout(300)
    assert page.locator("#response-2").is_visible()
    for _ in range(8):
        page.locator("#add").click()
        page.wait_for_timeout(150)
    assert page.locator("#response-8").is_visible()


def test_an_error_says_the_way_out(visit: Visit) -> None:
    page = visit.page
    page.locator("#response-2 textarea").fill("")
    page.locator("#go").click()
    page.locator(".grm-refusal").wait_for()
    assert "response 2: it is empty" in page.locator(".grm-refusal").inner_text().lower()
    visit.picture(f"{visit.name}-4-refused")  # type: ignore[attr-defined]
    assert not visit.axe()


def test_a_link_brings_the_question_back(visit: Visit, browser: Any) -> None:
    page = visit.page
    page.locator("#conversation textarea").fill("Is this <b>kept</b>?")
    page.locator("#response-1 textarea").fill("Yes & no")
    page.locator("#share").click()
    page.wait_for_function("document.querySelector('#link textarea, #link input')?.value.includes('?q=')")
    link = page.locator("#link textarea, #link input").input_value()
    other = browser.new_context().new_page()
    other.goto(link)
    other.wait_for_function("document.querySelector('#conversation textarea')?.value.includes('<b>kept</b>')")
    assert other.locator("#response-1 textarea").input_value() == "Yes & no"
    other.goto(re.sub(r"q=.*", "q=broken", link))
    other.locator(".grm-refusal").wait_for()
    other.context.close()


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.page
    page.locator("#conversation textarea").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id") == "go":
            break
    focused = page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement);"
        " return s.outlineStyle !== 'none' || s.boxShadow !== 'none'; })()"
    )
    assert page.evaluate("document.activeElement.textContent.trim()") == "Judge"
    assert focused
    page.keyboard.press("Enter")
    page.locator(".grm-result.is-done").wait_for(timeout=JUDGED)


def test_it_stops_when_it_is_told_to(visit: Visit) -> None:
    page = visit.page
    page.locator("#k input[type=number]").fill("32")
    page.locator("#go").click()
    page.locator(".grm-result .sample").first.wait_for(timeout=JUDGED)
    page.locator("#stop").click()
    page.wait_for_timeout(1_000)
    seen = page.locator(".grm-result .sample").count()
    page.wait_for_timeout(1_000)
    assert page.locator(".grm-result .sample").count() == seen < 32
    page.locator("#k input[type=number]").fill("2")
    visit.judge()


def test_the_other_tabs(visit: Visit) -> None:
    page, name = visit.page, visit.name  # type: ignore[attr-defined]
    page.get_by_role("tab", name="Scaling").click()
    page.locator(".grm-scaling svg").wait_for()
    visit.picture(f"{name}-5-scaling")
    assert not visit.axe()
    page.get_by_role("tab", name="About").click()
    page.get_by_role("heading", name="What is kept").wait_for()
    visit.picture(f"{name}-6-about")
    assert not visit.axe()


def test_the_meta_rm_and_programs(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="As JSON").click()
    page.get_by_label("The same in Python").wait_for()
    visit.judge()
    assert page.get_by_text("discarded by the meta RM").count() >= 1
    page.locator("#adaptive input").check()
    page.wait_for_function("!document.querySelector('#meta input').checked")
    page.locator("#adaptive input").uncheck()
    visit.judge()
    page.wait_for_function("!document.querySelector('.grm-result').innerText.includes('discarded by the meta RM')")
    assert "pipeline(" in page.get_by_label("The same in Python").input_value()
    assert '"scores"' in page.get_by_label("Result as JSON").input_value()
    visit.picture(f"{visit.name}-7-programs")  # type: ignore[attr-defined]
    assert visit.fits()
    assert not visit.axe()


def test_who_waits_sees_a_place_in_the_line(browser: Any, served: Served) -> None:
    first, second = (Visit(browser, served.url, DESKTOP) for _ in range(2))
    first.page.locator("#k input[type=number]").fill("32")
    first.page.locator("#go").click()
    first.page.locator(".grm-result .sample").first.wait_for(timeout=JUDGED)
    second.page.locator("#go").click()
    second.page.locator("#result").get_by_text(re.compile(r"queue: \d")).wait_for()
    second.picture("desktop-9-queue")
    second.page.locator(".grm-result.is-done").wait_for(timeout=JUDGED)
    first.page.locator(".grm-result.is-done").wait_for(timeout=JUDGED)
    first.context.close()
    second.context.close()


def test_dark(browser: Any, served: Served) -> None:
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
        opened = Visit(browser, served.url, size, dark=True)
        opened.judge()
        opened.picture(f"{name}-8-dark")
        assert not opened.axe()
        opened.context.close()


def test_nothing_comes_from_elsewhere(browser: Any, served: Served) -> None:
    opened = Visit(browser, served.url, DESKTOP)
    opened.judge()
    opened.context.close()
    assert not opened.foreign


def test_what_the_page_weighs_beyond_gradio(browser: Any, served: Served) -> None:
    """The document carries all that is ours: our pages and our style; scripts and fonts are Gradio's."""
    page = browser.new_page()
    document = page.goto(served.url)
    ours = len(document.body())
    page.close()
    print(f"document: {ours:,} bytes")
    assert ours < 1_000_000
