"""martlet.js in a real Chromium: what it sends and stores, when, and above all when it does not."""

import gzip
import json
import re
import uuid
from datetime import datetime, timedelta

import pytest

WRITE_KEY = "wk_test"
AGREE = "martlet.consent({analytics: true, marketing: false})"
CONTENT = '<a id="more" href="/other">More about teapots</a>'
TALL = '<div style="height: 10000px"></div>'
PRODUCT = """
<section data-martlet-product-viewed data-martlet-product-sku="0042" data-martlet-product-name="Brown teapot"
         data-martlet-product-price="24.50" data-martlet-product-currency="GBP">
  <form onsubmit="return false"><input data-martlet-quantity value="3"><input name="note" value="for my aunt">
  <button id="add" type="button" data-martlet-add-to-cart data-martlet-cart-id="7">Add</button>
  <button id="drop" type="button" data-martlet-remove-from-cart data-martlet-cart-id="7">Remove</button></form>
</section>
<a id="checkout" href="#" data-martlet-checkout data-martlet-order-id="o-1" data-martlet-value="73.50">Check out</a>"""


def install(**options):
    """The install line as README.md gives it, with options as attributes."""
    attributes = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in options.items())
    return f'<script async src="/v1/martlet.js" data-write-key="{WRITE_KEY}"{attributes}></script>'


def install_with(options, *calls, host=None, write_key=WRITE_KEY):
    """The install line for options that are no strings, with calls before the file is there."""
    queue = "".join(f"martlet.push({json.dumps(call)});" for call in calls)
    configuration = json.dumps({"writeKey": write_key} | options)
    return (f"<script>window.martlet = window.martlet || []; martlet.push(['init', {configuration}]);{queue}</script>"
            f'<script async src="{host or ""}/v1/martlet.js"></script>')


OPEN = install(consent="not-required")


def loaded(page):
    page.wait_for_function("window.martlet && martlet.version")
    return page


def visit(visitor, url, clock=False, paused=False):
    """A new tab on a page; `clock` can let time pass faster, `paused` lets none pass by itself."""
    page = visitor.new_page()
    if clock or paused:
        page.clock.install()
    if paused:
        page.clock.pause_at(datetime.now() + timedelta(seconds=1))
    page.goto(url)
    return loaded(page)


def stored(page):
    """The keys that the page has left in the browser."""
    cookies = [cookie["name"] for cookie in page.context.cookies()]
    return cookies + page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))")


def queued(page):
    return [key for key in stored(page) if ".q." in key]


def names(events):
    return [event.get("event", event["type"]) for event in events]


def named(server, name):
    return [event for event in server.events if event.get("event", event["type"]) == name]


def pass_time_until(page, wait_until, condition, what):
    """Lets the page's time run until the condition holds. Requests and locks take real time in between."""
    wait_until(page, lambda: condition() or page.clock.run_for(1_000), what)


def leave(page):
    """The visitor goes to a page without the snippet; returns when its pagehide is over."""
    page.goto("about:blank")


# Consent


def test_before_consent_nothing_is_sent_and_nothing_stored(server, visitor):
    url = server.page("/", CONTENT + PRODUCT + TALL, install())
    page = visit(visitor, url, clock=True)
    page.evaluate("martlet.track('Too Early', {}); martlet.identify('u-1', {email: 'ada@shop.example'})")
    page.click("#add")
    page.mouse.wheel(0, 5000)
    page.clock.run_for(120_000)
    assert stored(page) == []
    leave(page)
    assert server.requests == []


def test_after_consent_events_carry_it_and_what_came_before_is_dropped(server, visitor, wait_until):
    page = visit(visitor, server.page("/", CONTENT, install()))
    page.evaluate("martlet.track('Too Early')")
    page.evaluate(AGREE)
    page.evaluate("martlet.track('In Time', {n: 1})")
    wait_until(page, lambda: named(server, "In Time"), "the event")
    # The page is there when the visitor agrees; what was done on it before is not.
    assert names(server.events) == ["page", "In Time"]
    for event in server.events:
        assert event["context"]["consent"] == {"categoryPreferences": {"analytics": True, "marketing": False}}
    assert len({event["anonymousId"] for event in server.events}) == 1


def test_what_came_before_consent_is_kept_where_the_site_says_so(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", install(before_consent="keep")), clock=True)
    page.evaluate("martlet.identify('u-1'); martlet.track('Early', {n: 1})")
    page.clock.run_for(60_000)
    assert stored(page) == [] and server.requests == []
    page.evaluate(AGREE)
    page.evaluate("martlet.track('Late')")
    page.clock.run_for(2_000)
    wait_until(page, lambda: named(server, "Late"), "the late event")
    assert names(server.events) == ["page", "identify", "Early", "Late"]
    assert [event.get("userId") for event in server.events] == [None, "u-1", "u-1", "u-1"]
    assert len({event["anonymousId"] for event in server.events}) == 1
    assert server.events[0]["context"]["consent"]["categoryPreferences"]["analytics"] is True
    first, last = server.events[0]["timestamp"], server.events[-1]["timestamp"]
    assert first < last, "each keeps its own time"


def test_a_refusal_drops_what_was_kept(server, visitor):
    page = visit(visitor, server.page("/", "", install(before_consent="keep")), clock=True)
    page.evaluate("martlet.track('Early'); martlet.consent({analytics: false}); martlet.track('Later')")
    page.clock.run_for(60_000)
    leave(page)
    assert server.requests == []


def test_consent_is_remembered_on_the_next_page(server, visitor, wait_until):
    url = server.page("/", CONTENT, install())
    page = visit(visitor, url)
    page.evaluate(AGREE)
    wait_until(page, lambda: names(server.events) == ["page"], "the first page")
    page.reload()
    loaded(page)
    wait_until(page, lambda: len(named(server, "page")) == 2, "the second page")
    first, second = named(server, "page")
    assert first["anonymousId"] == second["anonymousId"]


def test_withdrawal_wipes_what_is_stored(server, visitor, wait_until):
    page = visit(visitor, server.page("/", CONTENT, install()), clock=True)
    page.evaluate(AGREE)
    page.clock.run_for(2_000)
    wait_until(page, lambda: named(server, "page"), "the page")
    wait_until(page, lambda: not queued(page), "the queue to be empty")
    visitor.set_offline(True)
    page.evaluate("martlet.identify('u-1'); martlet.track('Waiting')")
    assert queued(page)
    page.evaluate("martlet.consent({analytics: false})")
    assert stored(page) == []
    visitor.set_offline(False)
    page.evaluate("martlet.track('Afterwards')")
    page.clock.run_for(600_000)
    assert stored(page) == []
    leave(page)
    assert names(server.events) == ["page"]


def test_consent_given_again_makes_another_visitor(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", install()))
    page.evaluate(AGREE)
    page.evaluate("martlet.identify('u-1')")
    wait_until(page, lambda: named(server, "identify"), "the first visitor")
    page.evaluate("martlet.consent({analytics: false})")
    page.evaluate("martlet.consent({analytics: true})")
    wait_until(page, lambda: len(named(server, "page")) == 2, "the second visitor")
    first, second = named(server, "page")
    assert first["anonymousId"] != second["anonymousId"] and "userId" not in second


def test_a_refusal_is_remembered_where_consent_is_not_required(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", OPEN), clock=True)
    page.clock.run_for(2_000)
    wait_until(page, lambda: named(server, "page"), "the page")
    page.evaluate("martlet.consent({analytics: false})")
    assert stored(page) == [f"martlet.{WRITE_KEY}.consent"]
    page.reload()
    loaded(page).clock.run_for(60_000)
    leave(page)
    assert names(server.events) == ["page"]


def test_withdrawal_in_one_tab_holds_in_all(server, visitor, wait_until):
    url = server.page("/", "", install())
    one, other = visit(visitor, url), visit(visitor, url)
    one.evaluate(AGREE)
    wait_until(other, lambda: len(named(server, "page")) == 2, "both tabs to send, the other having heard of consent")
    assert len({event["anonymousId"] for event in server.events}) == 1
    one.evaluate("martlet.consent({analytics: false})")
    before = len(server.events)
    other.evaluate("() => { window.heard = new Promise((done) => addEventListener('storage', done)) }")
    one.evaluate("localStorage.setItem('after', '1')")  # storage events come in order
    other.evaluate("heard")
    other.evaluate("martlet.track('Not Any More')")
    leave(other)
    assert len(server.events) == before
    assert stored(one) == ["after"]


# Global Privacy Control


def privacy_control(visitor):
    visitor.add_init_script("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})")


@pytest.mark.parametrize("consent", ["required", "not-required"])
def test_global_privacy_control_is_a_refusal(server, visitor, consent):
    privacy_control(visitor)
    page = visit(visitor, server.page("/", CONTENT, install(consent=consent, before_consent="keep")), clock=True)
    page.evaluate("martlet.track('Unwanted')")
    page.clock.run_for(60_000)
    assert stored(page) == []
    # A default of the site's is not the visitor's word.
    page.evaluate("martlet.consent({analytics: true}, {explicit: false}); martlet.track('Unwanted')")
    page.clock.run_for(60_000)
    leave(page)
    assert server.requests == []


def test_a_visitor_may_agree_in_spite_of_privacy_control(server, visitor, wait_until):
    privacy_control(visitor)
    page = visit(visitor, server.page("/", "", install()))
    page.evaluate(AGREE)
    wait_until(page, lambda: named(server, "page"), "the page")
    page.reload()
    loaded(page)
    wait_until(page, lambda: len(named(server, "page")) == 2, "the next page")
    for event in server.events:
        assert event["context"]["consent"] == {
            "categoryPreferences": {"analytics": True, "marketing": False}, "globalPrivacyControl": True}


def test_privacy_control_turned_on_later_ends_an_older_consent(server, visitor, wait_until):
    url = server.page("/", "", install())
    page = visit(visitor, url)
    page.evaluate(AGREE)
    wait_until(page, lambda: named(server, "page"), "the page")
    privacy_control(visitor)
    later = visit(visitor, url, clock=True)
    assert stored(later) == []
    later.clock.run_for(60_000)
    leave(later)
    assert names(server.events) == ["page"]


# What is sent


def test_an_event_says_where_and_with_what(server, visitor, wait_until):
    url = server.page("/teapots", "", OPEN, title="Teapots")
    page = visit(visitor, url + "?utm_source=news&utm_campaign=spring&colour=brown#reviews")
    wait_until(page, lambda: named(server, "page"), "the page")
    [event] = named(server, "page")
    context = event["context"]
    place = {"url": f"{url}?utm_source=news&utm_campaign=spring&colour=brown", "path": "/teapots",
             "search": "?utm_source=news&utm_campaign=spring&colour=brown", "referrer": "", "title": "Teapots"}
    assert context["page"] == place and event["properties"] == place
    assert context["campaign"] == {"source": "news", "name": "spring"}
    assert context["library"] == {"name": "martlet.js", "version": "1.0.0"}
    assert context["userAgent"] == page.evaluate("navigator.userAgent")
    assert context["locale"] == "en-US"
    assert {"width", "height", "density"} == set(context["screen"])
    assert uuid.UUID(event["messageId"]).version == 7
    [batch] = server.batches
    assert batch["body"]["writeKey"] == WRITE_KEY and batch["body"]["sentAt"] >= event["timestamp"]
    assert batch["headers"]["content-type"].startswith("text/plain")
    assert "cookie" not in batch["headers"]


def test_personal_parameters_stay_on_the_page(server, visitor, wait_until):
    url = server.page("/", '<a id="mail" href="mailto:grace@shop.example">grace@shop.example</a>', OPEN)
    secrets = "email=grace%40shop.example&access_token=s3cret&q=teapot&ref=hopper@shop.example&firstName=Grace&utm_source=x"
    page = visit(visitor, f"{url}?{secrets}#access_token=s3cret")
    page.click("#mail")
    wait_until(page, lambda: named(server, "Link Clicked"), "the click")
    sent = json.dumps(server.batches)
    for secret in ("grace", "Grace", "s3cret", "hopper"):
        assert secret not in sent
    assert named(server, "page")[0]["properties"]["search"] == "?q=teapot&ref=redacted&utm_source=x"


def test_more_parameters_can_be_named(server, visitor, wait_until):
    url = server.page("/", "", install_with({"consent": "not-required", "stripParameters": ["customer"]}))
    page = visit(visitor, url + "?customer=17&q=teapot")
    wait_until(page, lambda: named(server, "page"), "the page")
    assert named(server, "page")[0]["properties"]["search"] == "?q=teapot"


def test_every_call_of_the_interface_arrives(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", install_with({"consent": "not-required", "auto": False})))
    page.evaluate("""
        martlet.page('Docs', 'Start', {n: 1}); martlet.page('Alone'); martlet.track('Searched', {q: 'teapot'});
        martlet.identify('u-1', {plan: 'free'}); martlet.group('g-1', {name: 'Works'}); martlet.alias('u-2');
        martlet.track('Known'); martlet.reset(); martlet.track('Unknown')""")
    wait_until(page, lambda: named(server, "Unknown"), "the last call")
    pages, alone, searched, identify, group, alias, known, unknown = server.events
    assert (pages["category"], pages["name"], pages["properties"]["n"]) == ("Docs", "Start", 1)
    assert alone["name"] == "Alone" and "category" not in alone
    assert searched["properties"] == {"q": "teapot"} and "userId" not in searched
    assert identify["userId"] == "u-1" and identify["traits"] == {"plan": "free"}
    assert group["groupId"] == "g-1" and group["traits"] == {"name": "Works"} and group["userId"] == "u-1"
    assert alias["previousId"] == "u-1" and alias["userId"] == "u-2"
    assert known["userId"] == "u-2" and "userId" not in unknown
    assert known["anonymousId"] != unknown["anonymousId"]


def test_calls_made_before_the_file_is_there_are_replayed_in_order(server, visitor, wait_until):
    calls = [["track", "First", {"n": 1}], ["identify", "u-1"], ["track", "Second"]]
    page = visit(visitor, server.page("/", "", install_with({"consent": "not-required"}, *calls)))
    page.evaluate("martlet.push(['track', 'Third'])")
    wait_until(page, lambda: named(server, "Third"), "the last call")
    assert names(server.events) == ["page", "First", "identify", "Second", "Third"]
    assert named(server, "First")[0]["properties"] == {"n": 1}


def test_calls_wait_for_the_configuration(server, visitor, wait_until):
    early = "<script>window.martlet = [['track', 'Early']]</script><script src='/v1/martlet.js'></script>"
    page = visit(visitor, server.page("/", "", early))
    page.evaluate("martlet.track('Next')")
    page.evaluate(f"martlet.init({{writeKey: '{WRITE_KEY}', consent: 'not-required'}})")
    wait_until(page, lambda: named(server, "Next"), "the calls")
    assert names(server.events) == ["page", "Early", "Next"]


def test_the_file_loaded_twice_counts_once(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", OPEN + OPEN))
    page.wait_for_load_state()
    page.evaluate("martlet.track('Last')")
    wait_until(page, lambda: named(server, "Last"), "the event")
    assert names(server.events) == ["page", "Last"]


def test_nothing_is_thrown_into_the_page(server, visitor):
    page = visit(visitor, server.page("/", "<a id='odd' href='http://['>Odd</a>", OPEN))
    page.evaluate("""
        martlet.consent(); martlet.identify(null); martlet.push(['no such call']); martlet.push(null);
        const loop = {}; loop.loop = loop; martlet.track('Circular', loop); martlet.track('Large', {x: 'x'.repeat(1e6)});
        document.dispatchEvent(new Event('click')); document.dispatchEvent(new Event('submit'))""")
    page.evaluate("document.querySelector('#odd').addEventListener('click', (event) => event.preventDefault())")
    page.click("#odd")  # `visitor` checks that no error came up


# What a visitor does


def test_navigation_without_loading_is_a_page_view(server, visitor, wait_until):
    url = server.page("/", "", OPEN)
    page = visit(visitor, url)
    page.evaluate("history.pushState({}, '', '/second'); document.title = 'Second'")
    wait_until(page, lambda: len(named(server, "page")) == 2, "the second page")
    page.evaluate("history.replaceState({}, '', '/second?sorted=1')")  # tidying up is no page view
    page.evaluate("location.hash = 'reviews'")
    page.evaluate("history.replaceState({scroll: 9}, ''); history.pushState({}, '', '/second?page=2')")
    wait_until(page, lambda: len(named(server, "page")) == 3, "the third page")
    # One step at a time: the script looks a moment after the address has changed, and two at once are one to it.
    for place, views in [("/second?sorted=1#reviews", 4), ("/second?sorted=1", 4), ("/", 5)]:
        page.evaluate("history.back()")
        wait_until(page, lambda: page.url.endswith(place), place)
        wait_until(page, lambda: len(named(server, "page")) == views, f"{views} page views at {place}")
    places = [event["properties"] for event in named(server, "page")]
    assert [place["path"] + place["search"] for place in places] == [
        "/", "/second", "/second?page=2", "/second?sorted=1", "/"]
    assert places[1]["title"] == "Second" and places[1]["referrer"] == url


def test_clicks_on_links_and_buttons(server, visitor, wait_until):
    page = visit(visitor, server.page("/", """
        <a id="more" href="#teapots"><b>More about
          teapots</b></a> <button id="open">Open</button>
        <div id="hero" data-martlet-event="Hero Clicked" data-martlet-position-name="top"><a href="#x">Go</a></div>
        <p id="text">Nothing</p> <div data-martlet-ignore><button id="ignored">Not me</button></div>""", OPEN))
    for element in ("#more b", "#open", "#hero a", "#text", "#ignored"):
        page.click(element)
    page.evaluate("martlet.track('Last')")
    wait_until(page, lambda: named(server, "Last"), "the last event")
    assert names(server.events) == ["page", "Link Clicked", "Button Clicked", "Hero Clicked", "Last"]
    _, link, button, hero, _ = server.events
    assert link["properties"] == {
        "text": "More about teapots", "element_id": "more", "href": server.url + "/"}
    assert button["properties"] == {"text": "Open", "element_id": "open"}
    assert hero["properties"]["position_name"] == "top"


def test_scroll_depth_is_told_once_for_each_quarter(server, visitor, wait_until):
    page = visit(visitor, server.page("/", TALL, OPEN))
    page.evaluate("scrollTo(0, 5600)")
    wait_until(page, lambda: len(named(server, "Page Scrolled")) == 2, "half of it")
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("scrollTo(0, 1e6)")
    wait_until(page, lambda: len(named(server, "Page Scrolled")) == 4, "all of it")
    assert [event["properties"]["depth_percent"] for event in named(server, "Page Scrolled")] == [25, 50, 75, 100]


def test_time_on_page_is_sent_when_the_page_is_left(server, visitor, wait_until):
    url = server.page("/", CONTENT, OPEN)
    page = visit(visitor, url, paused=True)
    page.clock.run_for(9_000)
    page.mouse.move(5, 5)
    page.clock.run_for(300_000)  # away from the keyboard: 30 s of it count
    leave(page)
    wait_until(page, lambda: named(server, "Time on Page"), "the time")
    [event] = named(server, "Time on Page")
    assert 39 <= event["properties"]["active_seconds"] <= 41
    assert event["context"]["page"]["url"] == url


def test_time_on_page_is_sent_when_the_page_is_hidden_and_goes_on_when_it_is_shown(server, visitor, wait_until):
    page = visit(visitor, server.page("/", CONTENT, OPEN), paused=True)

    def show(visible):
        page.evaluate("""(hidden) => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""", not visible)

    page.clock.run_for(9_000)
    show(False)
    wait_until(page, lambda: named(server, "Time on Page"), "the time")
    page.clock.run_for(60_000)
    show(True)
    page.clock.run_for(5_000)
    leave(page)
    wait_until(page, lambda: len(named(server, "Time on Page")) == 2, "the rest")
    first, second = (event["properties"]["active_seconds"] for event in named(server, "Time on Page"))
    assert 9 <= first <= 11 and 4.5 <= second <= 6


def test_a_form_is_submitted_without_its_values(server, visitor, wait_until):
    page = visit(visitor, server.page("/", """
        <form id="newsletter" name="footer" data-martlet-list="weekly" onsubmit="return false">
          <input name="id" value="trap"><input name="email" value="ada@shop.example"><input type="password" value="s3cret">
          <button id="go">Subscribe</button></form>""", OPEN))
    page.click("#go")
    wait_until(page, lambda: named(server, "Form Submitted"), "the form")
    assert named(server, "Form Submitted")[0]["properties"] == {
        "form_id": "newsletter", "form_name": "footer", "list": "weekly"}
    sent = json.dumps(server.batches)
    assert "ada@" not in sent and "s3cret" not in sent and "trap" not in sent


def test_the_cart_by_attributes(server, visitor, wait_until):
    page = visit(visitor, server.page("/", PRODUCT, OPEN))
    for element in ("#add", "#drop", "#checkout"):
        page.click(element)
    wait_until(page, lambda: named(server, "Checkout Started"), "the checkout")
    assert names(server.events) == ["page", "Product Viewed", "Product Added", "Product Removed", "Checkout Started"]
    _, viewed, added, removed, checkout = server.events
    product = {"sku": "0042", "name": "Brown teapot", "price": 24.5, "currency": "GBP", "quantity": 3}
    assert viewed["properties"] == product
    assert added["properties"] == removed["properties"] == product | {"cart_id": "7"}
    assert checkout["properties"] == {"order_id": "o-1", "value": 73.5}
    assert "aunt" not in json.dumps(server.batches)


def test_products_that_are_shown_later_are_seen(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "<main></main>", OPEN))
    show = """(sku) => {
        const main = document.querySelector("main");
        if (!main.firstChild) main.innerHTML = "<section data-martlet-product-viewed></section>";
        main.firstChild.dataset.martletProductSku = sku;
    }"""
    for count, sku in enumerate(["A", "B"], 1):
        page.evaluate(show, sku)
        wait_until(page, lambda: len(named(server, "Product Viewed")) == count, f"product {sku}")
    page.evaluate("document.querySelector('main').append('something else')")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<p data-martlet-checkout-started></p>')")
    wait_until(page, lambda: named(server, "Checkout Started"), "the checkout")
    assert [event["properties"]["sku"] for event in named(server, "Product Viewed")] == ["A", "B"]


def test_parts_can_be_turned_off(server, visitor, wait_until):
    options = {"consent": "not-required", "auto": {"clicks": False, "forms": False, "scroll": False, "pages": False}}
    page = visit(visitor, server.page("/", """<form onsubmit="return false"><button id="plain">Plain</button></form>
        <button id="named" data-martlet-event="Named">Named</button>""" + TALL, install_with(options)))
    page.click("#plain")
    page.evaluate("scrollTo(0, 9000)")
    page.click("#named")
    wait_until(page, lambda: named(server, "Named"), "the event that the page names")
    assert names(server.events) == ["Named"]


# The queue


def test_what_happened_offline_survives_the_page_and_is_sent_once(server, visitor, wait_until):
    url = server.page("/", CONTENT, OPEN)
    page = visit(visitor, url)
    wait_until(page, lambda: named(server, "page") and not queued(page), "the page")
    visitor.set_offline(True)
    page.evaluate("for (let n = 0; n < 20; n++) martlet.track('Offline', {n})")
    assert len(queued(page)) == 20
    page.close()
    visitor.set_offline(False)
    later = visit(visitor, url)
    wait_until(later, lambda: len(named(server, "Offline")) == 20 and not queued(later), "the queue to be sent")
    assert [event["properties"]["n"] for event in named(server, "Offline")] == list(range(20))


def test_being_online_again_is_noticed(server, visitor, wait_until):
    page = visit(visitor, server.page("/", CONTENT, OPEN), clock=True)
    page.clock.run_for(2_000)
    wait_until(page, lambda: not queued(page), "the page to be sent")
    visitor.set_offline(True)
    page.evaluate("martlet.track('Offline')")
    page.clock.run_for(3_600_000)
    assert len(queued(page)) == 1
    visitor.set_offline(False)
    page.clock.run_for(1)
    wait_until(page, lambda: named(server, "Offline"), "the event")


def test_an_unavailable_server_is_left_alone_as_long_as_it_says(server, visitor, wait_until):
    url = server.page("/", "", OPEN)
    server.answer_next((503, {"retry-after": "120"}), (429, {"retry-after": "60"}))
    page = visit(visitor, url, paused=True)
    page.evaluate("martlet.track('Kept')")
    page.clock.run_for(2_000)
    wait_until(page, lambda: len(server.batches) == 1, "the first try")
    wait_until(page, lambda: page.evaluate(f"localStorage['martlet.{WRITE_KEY}.wait']"), "the answer to be read")
    page.evaluate("martlet.track('Kept Too')")
    page.clock.run_for(110_000)
    # Another page of the site knows of it as well.
    other = visit(visitor, url, clock=True)
    other.evaluate("martlet.track('Kept By Another')")
    other.close()
    assert len(server.batches) == 1
    pass_time_until(page, wait_until, lambda: len(server.batches) == 2, "the second try")
    page.wait_for_function(f"localStorage['martlet.{WRITE_KEY}.wait'] > Date.now()")
    pass_time_until(page, wait_until, lambda: not queued(page), "everything to be sent")
    assert sorted(names(server.events)) == ["Kept", "Kept By Another", "Kept Too", "page", "page"]
    assert len({event["messageId"] for event in server.events}) == 5


def test_without_retry_after_the_pauses_grow(server, visitor, wait_until):
    server.answer_next(*[(500, {})] * 4)
    page = visit(visitor, server.page("/", "", OPEN), paused=True)
    page.clock.run_for(1_000)
    wait_until(page, lambda: len(server.batches) == 1, "the first try")
    pauses = []
    for tries in range(2, 6):
        page.wait_for_function(f"localStorage['martlet.{WRITE_KEY}.wait'] > Date.now()")
        pauses.append(page.evaluate(f"localStorage['martlet.{WRITE_KEY}.wait'] - Date.now()"))
        page.clock.run_for(int(pauses[-1]) - 50)
        assert len(server.batches) == tries - 1
        pass_time_until(page, wait_until, lambda: len(server.batches) == tries, "the next try")
    for number, pause in enumerate(pauses):
        assert 1000 * 2 ** number - 100 <= pause <= 1250 * 2 ** number, pauses
    wait_until(page, lambda: not queued(page), "the queue to be empty")
    assert names(server.events) == ["page"]


def test_a_refused_batch_is_not_sent_again(server, visitor, wait_until):
    server.answer_next((400, {}))
    page = visit(visitor, server.page("/", "", OPEN), clock=True)
    page.clock.run_for(2_000)
    wait_until(page, lambda: server.batches and not queued(page), "the batch to be let go")
    page.clock.run_for(3_600_000)
    page.evaluate("martlet.track('Next')")
    page.clock.run_for(2_000)
    wait_until(page, lambda: named(server, "Next"), "the next event")
    assert names(server.events) == ["Next"] and len(server.batches) == 2


def test_what_is_done_on_leaving_arrives(server, visitor, wait_until):
    page = visit(visitor, server.page("/", CONTENT, OPEN))
    page.evaluate("martlet.track('Last Thing')")
    leave(page)
    wait_until(page, lambda: named(server, "Last Thing"), "the event")
    assert all(batch["bytes"] < 64_000 for batch in server.batches)


def test_requests_on_leaving_stay_below_what_browsers_allow(server, visitor, wait_until):
    url = server.page("/", CONTENT, OPEN)
    page = visit(visitor, url)
    page.evaluate("for (let n = 0; n < 100; n++) martlet.track('Much', {n, x: 'x'.repeat(2000)})")
    leave(page)
    wait_until(page, lambda: named(server, "Much"), "some of it")
    assert all(batch["bytes"] < 64_000 for batch in server.batches)
    later = visit(visitor, url)
    wait_until(later, lambda: not queued(later), "the rest")
    arrived = {event["messageId"]: event["properties"]["n"] for event in named(server, "Much")}
    assert sorted(arrived.values()) == list(range(100)), "everything, each under one messageId"


def test_batches_stay_below_the_limit_of_the_server(server, visitor, wait_until):
    page = visit(visitor, server.page("/", "", OPEN))
    page.evaluate("for (let n = 0; n < 60; n++) martlet.track('Umlaut', {n, x: 'ü'.repeat(7000)})")
    wait_until(page, lambda: len(named(server, "Umlaut")) == 60, "all of it")
    assert len(server.batches) > 1 and all(batch["bytes"] < 500_000 for batch in server.batches)
    assert len({event["messageId"] for event in server.events}) == len(server.events)


def test_the_queue_is_bounded_and_the_oldest_goes(server, visitor):
    page = visit(visitor, server.page("/", "", OPEN), clock=True)
    visitor.set_offline(True)
    page.evaluate("for (let n = 0; n < 600; n++) martlet.track('Many', {n})")
    assert len(queued(page)) == 500
    page.evaluate("for (let n = 0; n < 100; n++) martlet.track('Large', {n, x: 'x'.repeat(30000)})")
    assert page.evaluate("Object.values(localStorage).join('').length") < 1.1e6
    newest = page.evaluate("Object.entries(localStorage).sort().map((entry) => entry[1]).filter((v) => v.includes('Large'))")
    assert json.loads(newest[-1])["properties"]["n"] == 99
    page.clock.fast_forward(190 * 3_600_000)
    page.evaluate("martlet.track('A Week Later')")
    assert len(queued(page)) == 1


def test_several_tabs_send_each_event_once(server, visitor, wait_until):
    url = server.page("/", "", OPEN)
    tabs = [visit(visitor, url) for _ in range(3)]
    for number, tab in enumerate(tabs):
        tab.evaluate("(tab) => { for (let n = 0; n < 30; n++) martlet.track('Busy', {tab, n}) }", number)
    wait_until(tabs[0], lambda: len(named(server, "Busy")) >= 90 and not queued(tabs[0]), "all tabs")
    assert len(server.events) == len({event["messageId"] for event in server.events}) == 93


@pytest.mark.parametrize("broken", ["blocked", "full"])
def test_storage_that_throws_breaks_nothing(server, visitor, wait_until, broken):
    visitor.add_init_script({
        "blocked": """Object.defineProperty(window, "localStorage", {get() { throw new DOMException("no", "SecurityError") }})""",
        "full": """Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }""",
    }[broken])
    page = visit(visitor, server.page("/", "", install()))
    server.answer_next((503, {"retry-after": "0"}))
    page.evaluate(AGREE)
    page.evaluate("martlet.track('One'); martlet.track('Two')")
    wait_until(page, lambda: named(server, "Two"), "the events")
    assert names(server.events) == ["page", "One", "Two"]
    assert len({event["anonymousId"] for event in server.events}) == 1


def test_a_site_without_https_is_served_as_well(server, chromium, chromium_path, wait_until):
    """Neither locks nor randomUUID are there."""
    browser = chromium.browser_type.launch(
        executable_path=chromium_path, args=["--no-sandbox", "--host-resolver-rules=MAP shop.test 127.0.0.1"])
    try:
        server.page("/", "", OPEN)
        page = browser.new_page()
        page.goto(f"http://shop.test:{server.port}/")
        assert page.evaluate("isSecureContext") is False
        wait_until(page, lambda: named(server, "page"), "the page")
    finally:
        browser.close()


def test_events_go_to_another_origin_than_the_page(server, visitor, wait_until):
    host = f"http://localhost:{server.port}"
    page = visit(visitor, server.page("/", "", install_with({"consent": "not-required"}, host=host)))
    with page.expect_request(lambda request: request.url == f"{host}/v1/batch") as request:
        page.evaluate("martlet.track('Across')")
    assert request.value.method == "POST"
    wait_until(page, lambda: named(server, "Across") and not queued(page), "the event")


# The files


def test_the_file_is_below_6_kilobytes(browser_files):
    assert len(gzip.compress((browser_files / "martlet.js").read_bytes(), 9)) < 6_000


def sections_of(template):
    parts = re.split(r"^___([A-Z_]+)___$", template, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def test_the_tag_manager_template_has_its_sections(browser_files):
    sections = sections_of((browser_files / "martlet.tpl").read_text())
    assert list(sections) == ["TERMS_OF_SERVICE", "INFO", "TEMPLATE_PARAMETERS", "SANDBOXED_JS_FOR_WEB_TEMPLATE",
                              "WEB_PERMISSIONS", "TESTS", "NOTES"]
    info = json.loads(sections["INFO"])
    assert info["type"] == "TAG" and info["containerContexts"] == ["WEB"]
    parameters = {each["name"] for each in json.loads(sections["TEMPLATE_PARAMETERS"])}
    assert {"host", "writeKey", "consent"} <= parameters
    code = sections["SANDBOXED_JS_FOR_WEB_TEMPLATE"]
    assert set(re.findall(r"data\.(\w+)", code)) <= parameters | {"gtmOnSuccess", "gtmOnFailure"}
    needed = {"injectScript": "inject_script", "createQueue": "access_globals", "setInWindow": "access_globals",
              "isConsentGranted": "access_consent", "addConsentListener": "access_consent",
              "logToConsole": "logging"}
    permitted = {each["instance"]["key"]["publicId"] for each in json.loads(sections["WEB_PERMISSIONS"])}
    assert {needed[name] for name in re.findall(r"require\('(\w+)'\)", code) if name in needed} == permitted


TAG_MANAGER = """
const given = %s;
const fixed = {gtmOnSuccess() { window.tag = "succeeded" }, gtmOnFailure() { window.tag = "failed" }};
const granted = %s;
const listeners = [];
window.grant = (type, value) => { granted[type] = value; listeners.forEach((each) => each[0] === type && each[1](type, value)) };
const apis = {
  createQueue(name) { window[name] = window[name] || []; return (entry) => window[name].push(entry) },
  injectScript(url, done, failed) {
    const script = document.createElement("script");
    Object.assign(script, {src: url, async: true, onload: done, onerror: failed});
    document.head.append(script);
  },
  isConsentGranted: (type) => granted[type] === true,
  addConsentListener: (type, listener) => listeners.push([type, listener]),
  setInWindow(key, value) { window[key] = value; return true },
  logToConsole() {},
};
new Function("require", "data", %s)((name) => apis[name], Object.assign({}, given, fixed));
"""


def run_template(page, browser_files, data, granted):
    """The template's code, with the tag manager's interfaces as its documentation describes them."""
    code = sections_of((browser_files / "martlet.tpl").read_text())["SANDBOXED_JS_FOR_WEB_TEMPLATE"]
    page.add_script_tag(content=TAG_MANAGER % (json.dumps(data), json.dumps(granted), json.dumps(code)))


def test_the_tag_manager_template_loads_the_file(server, visitor, browser_files, wait_until):
    page = visitor.new_page()
    page.goto(server.page("/"))
    data = {"host": server.url + "/", "writeKey": WRITE_KEY, "consent": "not-required", "beforeConsent": "drop"}
    run_template(page, browser_files, data, {})
    page.wait_for_function("window.tag === 'succeeded'")
    wait_until(page, lambda: named(server, "page"), "the page")


def test_the_tag_manager_template_follows_its_consent_mode(server, visitor, browser_files, wait_until):
    page = visitor.new_page()
    page.goto(server.page("/"))
    data = {"host": server.url, "writeKey": WRITE_KEY, "consent": "consent-mode", "beforeConsent": "drop"}
    run_template(page, browser_files, data, {"analytics_storage": False, "ad_storage": False})
    page.wait_for_function("window.tag === 'succeeded'")
    assert stored(page) == []
    page.evaluate("grant('analytics_storage', true)")
    wait_until(page, lambda: named(server, "page"), "the page")
    assert named(server, "page")[0]["context"]["consent"]["categoryPreferences"] == {
        "analytics": True, "marketing": False}
    page.evaluate("grant('analytics_storage', false)")
    assert stored(page) == []


# The real service


def test_the_snippet_against_martlet(martlet, server, visitor, wait_until):
    """From the page of a shop through ingestion to the profile's timeline."""
    host = martlet.url("ingestion")
    page = visit(visitor, server.page(
        "/", PRODUCT, install_with({}, ["track", "Too Early"], host=host, write_key=martlet.write_key)))
    user_id = f"user-{uuid.uuid4().hex[:8]}"
    page.evaluate(AGREE)
    page.click("#add")
    page.evaluate("(userId) => martlet.identify(userId, {firstName: 'Ada'})", user_id)
    wait_until(page, lambda: stored(page) and not [key for key in stored(page) if ".q." in key], "the answer")
    martlet.drain()

    profile = martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": user_id}, expect=200)
    items = martlet.items("identity", f"/v1/profiles/{profile['profileId']}/timeline")
    events = [item["event"] for item in items if item["kind"] == "event"]
    # By name: how long a request was on its way counts as skew of the visitor's clock, so two batches may change places.
    by_name = {event.get("event", event["type"]): event for event in events}
    assert sorted(by_name) == ["Product Added", "Product Viewed", "identify", "page"]
    added = by_name["Product Added"]["properties"]
    assert added["sku"] == "0042" and added["quantity"] == 3
    for event in events:
        assert event["context"]["consent"]["categoryPreferences"] == {"analytics": True, "marketing": False}
    assert martlet.quarantined() == []
