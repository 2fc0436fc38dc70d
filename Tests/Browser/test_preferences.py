"""People's own pages in a real Chromium, with and without JavaScript, in every language, as somebody with a link sees them."""

import email
import email.policy
import re
import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe

POLICY = """
purposes:
  marketing:
    name: Marketing messages
    legalBasis: consent
    directMarketing: true
    channels: [email, sms]
    lasts: P13M
    text:
      version: "2026-11"
      languages:
        en: You may write to me about products.
        de: Sie dürfen mir über Produkte schreiben.
        fr: Vous pouvez m'écrire au sujet de produits.
        es: Pueden escribirme sobre productos.
  analytics:
    name: Statistics
    legalBasis: legitimateInterest
    recipient: Counting & Co <Ltd>
    text: {version: "1"}
  transactional: {name: Orders, legalBasis: contract, text: {version: "1", languages: {en: Mails about your orders}}}
"""
TITLES = {"en": "Your preferences", "de": "Ihre Einstellungen", "fr": "Vos préférences", "es": "Sus preferencias"}
JAVASCRIPT = pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "plain"])


@pytest.fixture(scope="module")
def policy(martlet):
    martlet.call("PUT", "consent", "/v1/consent-policy", data=POLICY.encode(), expect=200,
                 headers={"Content-Type": "application/yaml"})


@pytest.fixture
def person(martlet, policy):
    """Somebody new, as the id of their profile."""
    user = f"person-{uuid.uuid4().hex[:10]}"
    martlet.collect("identify", {"userId": user, "traits": {"email": f"{user}@example.org"}})
    martlet.drain()
    return martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": user},
                        expect=200)["profileId"]


@pytest.fixture
def open_browser(chromium):
    """Opens a browser that may have no JavaScript, and closes it when the test is over."""
    contexts = []
    errors = []

    def opened(javascript=True, **options):
        context = chromium.new_context(java_script_enabled=javascript, **options)
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        contexts.append(context)
        page = context.new_page()
        # Nothing but the page itself is asked for, and nothing is blocked by its own policy.
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        return page

    yield opened
    for context in contexts:
        context.close()
    expected = re.compile(r"the server responded with a status of 4\d\d")
    assert [error for error in errors if not expected.search(error)] == []


def link(martlet, profile, **more):
    made = martlet.call("POST", "consent", "/v1/preference-links", expect=201,
                        json={"subject": {"profileId": profile}} | more)
    assert profile not in made["url"]
    return made["url"]


def held(martlet, profile):
    return martlet.get("consent", f"/v1/profiles/{profile}/consents")


def entries(martlet, profile):
    return [(entry["purpose"], entry["action"]) for entry in reversed(held(martlet, profile)["ledger"]["items"])]


def requests_of(martlet, profile):
    return [one for one in martlet.items("consent", "/v1/privacy-requests") if one["profileId"] == profile]


@JAVASCRIPT
def test_somebody_chooses_and_sees_it_again(martlet, person, open_browser, javascript):
    page = open_browser(javascript)
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(link(martlet, person, language="en"))
    assert page.locator("h1").inner_text() == TITLES["en"]
    assert entries(martlet, person) == []
    marketing = page.get_by_label("You may write to me about products.")
    assert not marketing.is_checked() and page.get_by_label("Statistics").is_checked()
    assert "Counting & Co <Ltd>" in page.locator("main").inner_text()
    marketing.check()
    page.get_by_label("Text message").uncheck()
    page.get_by_label("At most one message a week").check()
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("status").inner_text().startswith("Your preferences are saved.")
    assert page.title().startswith("Your preferences are saved")
    assert sorted(entries(martlet, person)) == [
        ("channel:sms", "withdraw"), ("frequency:weekly", "grant"), ("marketing", "grant")]
    assert held(martlet, person)["wishes"] == {"refusedChannels": ["sms"], "frequency": "weekly"}
    # Loading the page again does nothing again.
    page.reload()
    assert page.get_by_label("You may write to me about products.").is_checked()
    assert len(entries(martlet, person)) == 3
    for entry in held(martlet, person)["ledger"]["items"]:
        assert entry["source"] == "preference-centre" and entry["locale"] == "en"
        assert entry["address"] == "127.0.0.0" and "Chrom" in entry["userAgent"]
    martlet.advance("1m")
    page.get_by_role("link", name="Deutsch").click()
    assert page.locator("html").get_attribute("lang") == "de"
    page.get_by_role("button", name="Von allem abmelden").click()
    assert "abgemeldet" in page.get_by_role("status").inner_text()
    assert not page.get_by_label("Sie dürfen mir über Produkte schreiben.").is_checked()
    standing = {one["purpose"]: one["state"] for one in held(martlet, person)["consents"]}
    assert standing == {"marketing": "withdrawn", "analytics": "withdrawn", "transactional": None}
    assert hosts == {martlet.url("consent").removeprefix("http://")}


@JAVASCRIPT
def test_a_page_that_was_left_open_does_not_undo_what_was_said_since(martlet, person, open_browser, javascript):
    page = open_browser(javascript)
    page.goto(link(martlet, person, language="es"))
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"profileId": person}, "purpose": "marketing", "action": "withdraw", "source": "telephone"})
    page.get_by_label("Pueden escribirme sobre productos.").check()
    page.get_by_role("button", name="Guardar").click()
    assert page.get_by_role("alert").is_visible()
    assert entries(martlet, person) == [("marketing", "withdraw")]
    # What it shows now can be chosen from.
    martlet.advance("1m")
    page.get_by_label("Pueden escribirme sobre productos.").check()
    page.get_by_role("button", name="Guardar").click()
    assert page.get_by_role("status").is_visible()
    assert entries(martlet, person)[-1] == ("marketing", "grant")


@JAVASCRIPT
def test_somebody_asks_for_their_data_and_is_erased(martlet, person, open_browser, javascript):
    page = open_browser(javascript)
    url = link(martlet, person, language="fr")
    page.goto(url)
    page.get_by_role("button", name="Demander mes données").click()
    assert page.get_by_role("status").is_visible()
    access, = requests_of(martlet, person)
    assert access["type"] == "access" and access["id"] in page.locator("main").inner_text()
    martlet.drain()
    wanted = martlet.get("consent", f"/v1/privacy-requests/{access['id']}")
    assert wanted["state"] == "completed"

    page.get_by_role("link", name="Effacer mes données").click()
    assert page.locator("h1").inner_text().startswith("Effacer tout")
    page.get_by_role("button", name="Effacer maintenant").click()
    assert page.get_by_role("alert").is_visible()
    assert len(requests_of(martlet, person)) == 1
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Effacer maintenant").click()
    assert page.get_by_role("status").is_visible()
    erasure = [one for one in requests_of(martlet, person) if one["type"] == "erasure"]
    assert len(erasure) == 1 and erasure[0]["id"] in page.locator("main").inner_text()
    martlet.drain()
    assert martlet.get("consent", f"/v1/privacy-requests/{erasure[0]['id']}")["state"] == "completed"
    # The link leads nowhere now, in the same words as one that never led anywhere.
    gone = page.goto(url)
    assert gone.status == 404
    words = page.locator("body").inner_text()
    nowhere = page.goto(re.sub(r"/preferences/[^?]+", "/preferences/nobody", url))
    assert nowhere.status == 404 and page.locator("body").inner_text() == words


def test_everything_is_reached_and_done_with_the_keyboard(martlet, person, open_browser):
    page = open_browser()
    page.goto(link(martlet, person, language="en"))
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('name')")
        if focused == "purpose.marketing":
            break
    assert focused == "purpose.marketing"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    assert entries(martlet, person) == [("marketing", "grant")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", TITLES)
def test_axe_finds_nothing(martlet, person, open_browser, language, scheme):
    page = open_browser(color_scheme=scheme)
    url = link(martlet, person, language=language)

    def check(what):
        assert page.locator("html").get_attribute("lang") == language, what
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert found == [], f"{what} in {language}: " + "; ".join(
            f"{one['id']}: {one['nodes'][0]['html']}" for one in found)

    page.goto(url)
    assert page.locator("h1").inner_text() == TITLES[language]
    check("the page")
    page.locator("input[type=checkbox]").first.click()
    form = page.locator("form").first
    form.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    check("the page that says that it is saved")
    page.locator("form").nth(2).get_by_role("button").click()
    page.get_by_role("status").wait_for()
    check("the page with a request")
    page.goto(url.replace("?", "/erasure?"))
    check("the question")
    page.get_by_role("button").click()
    page.get_by_role("alert").wait_for()
    check("the question that was not answered")
    page.goto(re.sub(r"/preferences/[^?]+", "/preferences/nobody", url))
    check("the page of no link")
    page.goto(url.replace("?", "/erasure?"))
    page.get_by_role("checkbox").check()
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    check("the page of who is being erased")


def test_the_page_fits_a_small_screen(martlet, person, open_browser):
    page = open_browser(viewport={"width": 320, "height": 600})
    for language in TITLES:
        page.goto(link(martlet, person, language=language))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), language


# Double opt-in


FORM = {"purposes": ["marketing"], "languages": {
    "en": {"title": "Our news", "text": "You may write to me.", "mailSubject": "Please confirm"},
    "de": {"title": "Neues von uns", "text": "Sie dürfen mir schreiben.", "mailSubject": "Bitte bestätigen"},
    "fr": {"title": "Nos nouvelles", "text": "Vous pouvez m'écrire.", "mailSubject": "Veuillez confirmer"},
    "es": {"title": "Novedades", "text": "Pueden escribirme.", "mailSubject": "Confirme, por favor"}}}


@pytest.fixture(scope="module")
def news(martlet, policy):
    martlet.call("PUT", "consent", "/v1/opt-in-forms/news", json=FORM, expect=(200, 201))
    return martlet.url("consent") + "/opt-in/news"


def mailed_links(martlet, address):
    """The links in the mails to an address, as delivery has written them to its folder."""
    links = []
    for file in sorted((martlet.directory / "outbox").glob("*.eml")):
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if mail["To"] == address:
            links += re.findall(r"http://\S+/opt-in/news/\S+", mail.get_body(("plain",)).get_content())
    return links


@JAVASCRIPT
@pytest.mark.parametrize("language", TITLES)
def test_somebody_new_opts_in_by_the_link_in_their_mail(martlet, news, open_browser, wait_until, language, javascript):
    address = f"new-{uuid.uuid4().hex[:10]}@example.org"
    page = open_browser(javascript, locale=language)
    page.goto(news)
    assert page.locator("h1").inner_text() == FORM["languages"][language]["title"]

    def check():
        if javascript:
            assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []

    check()
    page.locator("#email").fill(address)
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    check()
    url, = wait_until(page, lambda: mailed_links(martlet, address), "the mail")
    lookup = {"type": "email", "value": address}
    # A scanner that follows the link confirms nothing, and nobody has a profile yet.
    for _ in range(3):
        assert martlet.http.get(url, timeout=30).status_code == 200
    assert martlet.call("POST", "identity", "/v1/profiles/lookup", json=lookup).status_code == 404
    page.goto(url)
    assert FORM["languages"][language]["text"] in page.locator("main").inner_text()
    check()
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    check()
    profile = martlet.call("POST", "identity", "/v1/profiles/lookup", json=lookup, expect=200)["profileId"]
    entry, = held(martlet, profile)["ledger"]["items"]
    assert (entry["purpose"], entry["action"], entry["source"]) == ("marketing", "grant", "double-opt-in")
    assert entry["locale"] == language and entry["evidence"]["requested"]["address"] == "127.0.0.0"
    # Good once.
    assert page.goto(url).status == 404



# Privacy choices


CHOICES = {"en": "Your privacy choices", "de": "Ihre Wahl beim Datenschutz",
           "fr": "Vos choix de confidentialité", "es": "Sus opciones de privacidad"}
SALES = """  ads: {name: Audiences, legalBasis: legitimateInterest, saleOrSharing: true, text: {version: "1"}}
  health: {name: Health, legalBasis: consent, sensitiveData: true, text: {version: "1"}}
"""


@pytest.fixture
def choices(martlet, policy):
    martlet.call("PUT", "consent", "/v1/consent-policy", data=(POLICY + SALES).encode(), expect=200,
                 headers={"Content-Type": "application/yaml"})
    # Everybody here comes from one address, of which only so many forms are taken in an hour.
    martlet.advance("61m")
    yield martlet.url("consent") + "/privacy-choices"
    martlet.call("PUT", "consent", "/v1/consent-policy", data=POLICY.encode(), expect=200,
                 headers={"Content-Type": "application/yaml"})


def axe(page):
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert found == [], "; ".join(f"{one['id']}: {one['nodes'][0]['html']}" for one in found)


def standing(martlet, profile):
    return {one["purpose"]: one["state"] for one in held(martlet, profile)["consents"]}


@JAVASCRIPT
@pytest.mark.parametrize("language", CHOICES)
def test_somebody_opts_out_for_their_browser_and_their_address(martlet, choices, open_browser, language, javascript):
    device, user = f"device-{uuid.uuid4()}", f"person-{uuid.uuid4().hex[:10]}"
    martlet.collect("page", {"anonymousId": device, "name": "Home"})
    martlet.collect("identify", {"userId": user, "traits": {"email": f"{user}@example.org"}})
    martlet.drain()
    people = [martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": kind, "value": value},
                           expect=200)["profileId"] for kind, value in [("anonymousId", device), ("userId", user)]]
    page = open_browser(javascript, locale=language)
    page.goto(f"{choices}?anonymousId={device}")
    assert page.locator("h1").inner_text() == CHOICES[language]
    assert page.locator("#sale").is_checked() and not page.locator("#limit").is_checked()
    page.locator("#email").fill(f"{user}@example.org")
    page.locator("form").get_by_role("button").click()
    page.get_by_role("status").wait_for()
    for profile in people:
        assert standing(martlet, profile)["ads"] == "withdrawn"
        assert standing(martlet, profile)["health"] is None
        request, = requests_of(martlet, profile)
        assert (request["type"], request["regime"], request["state"]) == ("optOut", "ccpa", "completed")
    # The other languages are about the same browser.
    page.goto(f"{choices}?anonymousId={device}")
    page.locator("header a").nth(1).click()
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator("input[name=anonymousId]").get_attribute("value") == device


def test_whoever_is_not_known_is_opted_out_when_they_are(martlet, choices, open_browser):
    address = f"new-{uuid.uuid4().hex[:10]}@example.org"
    page = open_browser()
    page.goto(choices)
    page.locator("#email").fill(address)
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    martlet.drain()
    profile = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": address},
                           expect=200)["profileId"]
    assert standing(martlet, profile)["ads"] == "withdrawn"


def test_a_browser_with_global_privacy_control_is_told_that_it_is_heeded(choices, open_browser):
    page = open_browser(extra_http_headers={"Sec-GPC": "1"})
    page.goto(choices)
    assert "Global Privacy Control" in page.locator("main").inner_text()
    axe(page)
    page = open_browser()
    page.goto(choices)
    assert "Global Privacy Control" not in page.locator("main").inner_text()


def test_another_site_can_not_choose_for_its_visitors(martlet, choices, open_browser):
    page = open_browser()
    page.goto(choices)
    token = page.locator("input[name=form]").get_attribute("value")
    evil = f"""<form method="post" action="{choices}"><input name="form" value="{token}">
        <input name="sale" value="yes"><input name="email" value="ann@example.org"><button>Win</button></form>"""
    page.route("http://evil.example/*", lambda route: route.fulfill(content_type="text/html", body=evil))
    page.goto("http://evil.example/")
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert navigation.value.status == 403


@JAVASCRIPT
@pytest.mark.parametrize("kind", ["know", "delete"])
def test_somebody_asks_to_know_or_to_have_deleted_by_the_link_in_their_mail(
        martlet, choices, open_browser, wait_until, kind, javascript):
    user = f"person-{uuid.uuid4().hex[:10]}"
    address = f"{user}@example.org"
    martlet.collect("identify", {"userId": user, "traits": {"email": address}})
    martlet.drain()
    profile = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": user},
                           expect=200)["profileId"]
    page = open_browser(javascript, locale="en")
    page.goto(choices)
    page.get_by_role("link", name="Ask for it").click()
    page.locator(f"#{kind}").check()
    page.locator("#email").fill(address)
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    assert requests_of(martlet, profile) == []

    def links():
        found = []
        for file in (martlet.directory / "outbox").glob("*.eml"):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if mail["To"] == address:
                found += re.findall(r"http://\S+/privacy-choices/\S+", mail.get_body(("plain",)).get_content())
        return found

    url, = wait_until(page, links, "the mail")
    assert martlet.http.get(url, timeout=30).status_code == 200
    assert requests_of(martlet, profile) == []
    page.goto(url)
    if javascript:
        axe(page)
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    if javascript:
        axe(page)
    request, = requests_of(martlet, profile)
    assert (request["type"], request["regime"]) == (kind, "ccpa")
    assert request["id"] in page.locator("main").inner_text()
    assert page.goto(url).status == 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", CHOICES)
def test_axe_finds_nothing_on_the_pages_of_privacy_choices(martlet, choices, open_browser, language, scheme):
    page = open_browser(color_scheme=scheme, extra_http_headers={"Sec-GPC": "1"})
    page.goto(f"{choices}?lang={language}")
    assert page.locator("html").get_attribute("lang") == language
    axe(page)
    page.locator("#email").evaluate("field => field.type = 'text'")
    page.locator("#email").fill("nobody")
    page.get_by_role("button").click()
    page.get_by_role("alert").wait_for()
    axe(page)
    page.locator("#limit").check()
    page.locator("#email").fill("nobody@example.org")
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    axe(page)
    page.goto(f"{choices}/requests?lang={language}")
    axe(page)
    page.locator("#email").fill("nobody@example.org")
    page.get_by_role("button").click()
    page.get_by_role("status").wait_for()
    axe(page)
    page.set_viewport_size({"width": 320, "height": 600})
    for path in ["", "/requests"]:
        page.goto(f"{choices}{path}?lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), language
