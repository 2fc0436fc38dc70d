/*! Martlet: see Browser/README.md */
(function () {
  "use strict";

  const api = Array.isArray(window.martlet) ? window.martlet : (window.martlet = []);
  if (api.version) return;
  api.version = "1.0.0";

  const script = document.currentScript;
  let config, prefix, view, timer, sending, lastTime = 0, failures = 0;
  let choices = {}; // by category
  let insisted; // in spite of Global Privacy Control
  let pending = [];
  let seen; // element -> product reported for it
  let referrer = document.referrer;
  const flying = new Set(); // keys of what is being sent

  const attempt = (work) => {
    try {
      return work();
    } catch (error) {}
  };
  const guard = (work) => (...given) => attempt(() => work(...given));

  // UUIDv7, rising: sorts by time.
  function uuid() {
    lastTime = Math.max(Date.now(), lastTime + 1);
    const time = lastTime.toString(16).padStart(12, "0");
    let at = 0;
    return "tttttttt-tttt-7xxx-8xxx-xxxxxxxxxxxx".replace(/[tx]/g, (digit) =>
      digit === "t" ? time[at++] : (crypto.getRandomValues(new Uint8Array(1))[0] & 15).toString(16));
  }
  let me = { a: uuid() }; // anonymousId; u: userId

  // What localStorage refuses lives as long as the page.
  const memory = {};
  const store = {
    get: (key) => memory[key] || attempt(() => localStorage.getItem(prefix + key)),
    set(key, value) {
      memory[key] = value;
      attempt(() => {
        localStorage.setItem(prefix + key, value);
        delete memory[key];
      });
    },
    remove(key) {
      delete memory[key];
      attempt(() => localStorage.removeItem(prefix + key));
    },
    keys: () => Object.keys(memory).concat(attempt(() => Object.keys(localStorage)
      .filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))) || []).sort(),
    read: (key) => attempt(() => JSON.parse(store.get(key))) || {},
  };
  const remember = () => granted() && store.set("id", JSON.stringify(me));

  const privacyControl = () => navigator.globalPrivacyControl === true;
  const choice = () => choices[config.consentCategory];
  const granted = () => privacyControl() ? choice() && insisted
    : choice() || (choice() === undefined && config.consent === "not-required");
  const listening = () => granted() ||
    (config.beforeConsent === "keep" && choice() === undefined && !privacyControl());

  function consent(preferences, how) {
    const before = granted();
    Object.keys(preferences).forEach((key) => (choices[key] = preferences[key] === true));
    if (config.consentCategory in preferences) insisted = privacyControl() && !(how && how.explicit === false);
    settle(before);
  }

  function settle(before) {
    if (!granted()) {
      store.keys().forEach(store.remove);
      if (before || !listening()) {
        me = { a: uuid() };
        pending = [];
      }
    } else if (!before) start();
    // A refusal identifies nobody.
    if (granted() || (config.consent === "not-required" && choice() !== undefined)) {
      store.set("consent", JSON.stringify({ choices, insisted }));
    }
  }

  function load() {
    const before = view && granted();
    ({ choices = {}, insisted } = store.read("consent"));
    settle(before);
  }

  function start() {
    me = Object.assign(me, store.read("id"));
    remember();
    const early = pending;
    pending = [];
    early.forEach((event) => {
      event.anonymousId = me.a;
      event.context.consent = consentContext();
      enqueue(event);
    });
    if (!early.length) begin();
    schedule(0);
  }

  const consentContext = () => ({
    categoryPreferences: Object.keys(choices).length ? choices : undefined,
    globalPrivacyControl: privacyControl() || undefined,
  });

  const address = /[^\s/?&=#]+(@|%40)[^\s/?&=#]+\.[a-z]{2,}/gi;
  const personal = /mail|phone|token|secret|passw|auth|session|address|birth|(first|last|full|user).?name|^(tel|name|zip|pwd|sid|sig|key|code|otp)$/i;

  function scrub(text) {
    const url = new URL(text, document.baseURI);
    if (!/^http/.test(url.protocol)) return url.protocol; // mailto: names people
    url.username = url.password = "";
    [...url.searchParams.keys()].forEach((name) => {
      if (personal.test(name) || config.stripParameters.includes(name)) url.searchParams.delete(name);
    });
    // Fragments may carry tokens; routes stay.
    url.hash = /^#!?\//.test(url.hash) ? url.hash.split("?")[0] : "";
    return url.href.replace(address, "redacted");
  }

  function page() {
    const { href, pathname, search } = new URL(scrub(location.href));
    return { url: href, path: pathname, search, referrer: referrer && scrub(referrer), title: document.title };
  }

  function emit(type, fields, place = page()) {
    if (!listening()) return;
    const campaign = {};
    new URL(place.url).searchParams.forEach((value, key) => {
      if (key.startsWith("utm_")) campaign[key === "utm_campaign" ? "name" : key.slice(4)] = value;
    });
    const event = Object.assign({
      type, messageId: uuid(), timestamp: new Date().toISOString(), anonymousId: me.a, userId: me.u,
      context: {
        page: place, campaign, userAgent: navigator.userAgent, locale: navigator.language,
        screen: { width: screen.width, height: screen.height, density: devicePixelRatio },
        library: { name: "martlet.js", version: api.version }, consent: consentContext(),
      },
    }, fields);
    if (granted()) enqueue(event);
    else if (pending.length < 100) pending.push(event);
  }

  const track = (event, properties, place) => emit("track", { event, properties: properties || {} }, place);

  // A key for each event: tabs don't overwrite each other's.

  const size = (text) => new Blob([text]).size;

  function enqueue(event) {
    const json = JSON.stringify(event);
    if (size(json) > 32e3) return;
    store.set("q." + event.messageId, json);
    waiting();
    if (!timer) schedule(1000);
  }

  // Over 500 events, 1 MB or 7 days, the oldest go.
  function waiting() {
    const kept = [];
    let room = 1e6;
    store.keys().reverse().forEach((key) => {
      if (!key.startsWith("q.")) return;
      const json = store.get(key) || "";
      room -= json.length;
      const time = parseInt(key.slice(2, 10) + key.slice(11, 15), 16);
      if (json && room > 0 && kept.length < 500 && time > Date.now() - 6048e5) kept.unshift([key, json]);
      else store.remove(key);
    });
    return kept.filter(([key]) => !flying.has(key));
  }

  function schedule(delay) {
    clearTimeout(timer);
    timer = setTimeout(flush, delay);
  }

  // The server asked all pages to wait; more than this is a wrong clock.
  function pause() {
    const rest = (store.get("wait") || 0) - Date.now();
    return rest > 45e5 ? 0 : rest;
  }

  const flush = guard(() => {
    timer = 0;
    if (sending || !granted()) return;
    sending = true;
    // One tab at a time; the others need a moment to see what is gone.
    const send = async () => {
      await post(4e5);
      await new Promise((done) => setTimeout(done, 50));
    };
    (navigator.locks ? navigator.locks.request(prefix, send).catch(send) : send()).then(guard(() => {
      sending = false;
      if (!timer && granted() && navigator.onLine && waiting().length) schedule(Math.max(pause(), 0));
    }));
  });

  function post(bytes) {
    if (!granted() || !navigator.onLine || pause() > 0) return;
    const batch = waiting().filter(([, json]) => (bytes -= size(json) + 1) > 0);
    if (!batch.length) return;
    const body = JSON.stringify({ writeKey: config.writeKey, sentAt: new Date().toISOString() })
      .replace("}", `,"batch":[${batch.map(([, json]) => json)}]}`);
    batch.forEach(([key]) => flying.add(key));
    return fetch(config.host + "/v1/batch", {
      method: "POST", body, credentials: "omit", referrerPolicy: "origin", headers: { "content-type": "text/plain" },
      keepalive: size(body) < 32e3, // outlives the page; 64 KB at a time
      signal: AbortSignal.timeout && AbortSignal.timeout(3e4),
    }).catch(() => ({ status: 0 })).then(({ status, headers }) => {
      batch.forEach(([key]) => flying.delete(key));
      if (status && status !== 429 && status < 500) {
        failures = 0;
        batch.forEach(([key]) => store.remove(key));
      } else if (granted()) {
        const asked = status && headers.get("retry-after");
        let delay = Math.min(1000 * 2 ** failures++, 3e5);
        if (asked) delay = asked * 1000 || Date.parse(asked) - Date.now() || delay;
        delay = Math.ceil(Math.min(Math.max(delay, 500), 36e5) * (1 + Math.random() / 4));
        if (status) store.set("wait", Date.now() + delay);
        schedule(delay);
      }
    });
  }

  const on = (part) => config.auto !== false && config.auto[part] !== false;

  function begin() {
    seen = new WeakMap();
    look();
    scan();
  }

  function look() {
    view = { page: page(), depth: 0, active: 0 };
    alive();
    if (on("pages")) emit("page", { properties: view.page }, view.page);
  }

  // Counts 30 s after each sign of life.
  function alive() {
    const now = performance.now();
    view.active += Math.max(0, Math.min(now - view.mark, 3e4)) || 0;
    view.mark = document.hidden ? Infinity : now;
  }

  function leave() {
    alive();
    const seconds = Math.round(view.active / 100) / 10;
    if (seconds < 1) return;
    view.active = 0;
    if (on("time")) track("Time on Page", { active_seconds: seconds }, view.page);
  }

  function hide() {
    leave();
    post(3e4);
  }

  function navigated() {
    const { path, url } = page();
    if (path === view.page.path && (!view.moved || url === view.page.url)) return;
    leave();
    referrer = view.page.url;
    look();
  }

  function scrolled() {
    const depth = 100 * (scrollY + innerHeight + 1) / document.documentElement.scrollHeight;
    while (view.depth < 100 && depth >= view.depth + 25) {
      view.depth += 25;
      track("Page Scrolled", { depth_percent: view.depth });
    }
  }

  function attributes(element, pattern, found = {}) {
    Object.entries(element.dataset).forEach(([key, value]) => {
      const match = pattern.exec(key);
      if (!match) return;
      const name = match[1].replace(/\B[A-Z]/g, "_$&").toLowerCase().replace(/^id$/, "product_id");
      if (name in found) return;
      found[name] = /^(price|quantity|value|total)$/.test(name) && +value >= 0 ? +value : value;
    });
    return found;
  }

  const properties = (element) =>
    attributes(element, /^martlet((?!(Product.+|Event|AddToCart|RemoveFromCart|Checkout|CheckoutStarted)$)[A-Z].*)/);

  // Outwards, up to where the product is named.
  function product(element) {
    const found = {};
    let each = element;
    for (; each; each = each.parentElement) {
      attributes(each, /^martletProduct((?!Viewed)[A-Z].*)/, found);
      if (found.sku || found.product_id) break;
    }
    const field = (element.closest("form") || each || element).querySelector("[data-martlet-quantity]");
    return Object.assign({ quantity: 1 }, found, field && field.value > 0 && { quantity: +field.value }, properties(element));
  }

  function scan() {
    document.querySelectorAll("[data-martlet-product-viewed],[data-martlet-checkout-started]").forEach((element) => {
      const viewed = element.matches("[data-martlet-product-viewed]");
      const found = viewed ? product(element) : properties(element);
      const key = found.sku || found.product_id || 1;
      if (seen.get(element) !== key) track(viewed ? "Product Viewed" : "Checkout Started", found);
      seen.set(element, key);
    });
  }

  function act(element, part, name, own) {
    const is = (directive) => element.matches(`[data-martlet-${directive}]`);
    const event = element.dataset.martletEvent;
    if (is("add-to-cart")) track("Product Added", product(element));
    else if (is("remove-from-cart")) track("Product Removed", product(element));
    else if (is("checkout")) track("Checkout Started", properties(element));
    else if (event || on(part)) track(event || name, Object.assign(own, properties(element)));
  }

  const ignored = (element) => element.closest("[data-martlet-ignore]");

  function clicked({ target }) {
    const element = target.closest("[data-martlet-event],[data-martlet-add-to-cart],[data-martlet-remove-from-cart],[data-martlet-checkout]");
    const plain = target.closest("a[href],button,[role=button],[type=submit]");
    const chosen = element && element.tagName !== "FORM" ? element : plain;
    if (!chosen || ignored(chosen)) return;
    const link = chosen.closest("a[href]");
    act(chosen, "clicks", link ? "Link Clicked" : "Button Clicked", {
      text: (chosen.textContent || chosen.value || "").trim().replace(/\s+/g, " ").slice(0, 100).replace(address, "redacted"),
      element_id: chosen.id, href: link ? scrub(link.getAttribute("href")) : undefined,
    });
  }

  // getAttribute: a field called "id" hides the form's.
  function submitted({ target }) {
    if (ignored(target)) return;
    act(target, "forms", "Form Submitted", { form_id: target.getAttribute("id"), form_name: target.getAttribute("name") });
  }

  function listen() {
    const hear = (target, names, work) =>
      names.split(" ").forEach((name) => target.addEventListener(name, guard(work), { capture: true, passive: true }));
    const later = (work, due) => () => {
      due = due || setTimeout(guard(() => {
        due = 0;
        work();
      }), 50);
    };
    hear(document, "click", clicked);
    hear(document, "submit", submitted);
    hear(window, "scroll keydown pointerdown pointermove", alive);
    if (on("scroll")) hear(window, "scroll", later(scrolled));
    new MutationObserver(later(scan)).observe(document, { childList: true, subtree: true, attributeFilter: ["data-martlet-product-sku"] });
    // Later: the title follows the address.
    const moved = later(navigated);
    hear(window, "popstate hashchange", () => moved(view.moved = true));
    ["pushState", "replaceState"].forEach((name) => {
      const original = history[name];
      history[name] = function () {
        const result = original.apply(this, arguments);
        view.moved = view.moved || name === "pushState";
        moved();
        return result;
      };
    });
    hear(document, "visibilitychange", () => (document.hidden ? hide() : alive()));
    hear(window, "pagehide", hide);
    hear(window, "online", () => schedule(0));
    hear(window, "storage", ({ key }) => (key === null || key === prefix + "consent") && load());
    hear(window, "pageshow", ({ persisted }) => {
      if (!persisted) return;
      load();
      look();
    });
  }

  const commands = {
    consent,
    track: (event, properties) => track(event, properties),
    init(options) {
      if (config || !options.writeKey) return;
      config = Object.assign({
        host: script && script.src.replace(/\/v1\/martlet.*/, ""),
        consent: "required", beforeConsent: "drop", consentCategory: "analytics", stripParameters: [], auto: {},
      }, options);
      prefix = `martlet.${config.writeKey}.`;
      const go = guard(() => {
        load();
        if (!view) begin();
        listen();
        api.splice(0).forEach(run);
      });
      if (document.prerendering) document.addEventListener("prerenderingchange", go);
      else go();
    },
    page(...given) {
      const names = given.filter((each) => typeof each === "string");
      const place = page();
      emit("page", {
        name: names.pop(), category: names.pop(),
        properties: Object.assign({}, place, given.find((each) => each && typeof each === "object")),
      }, place);
    },
    identify(userId, traits) {
      if (!listening()) return;
      if (typeof userId === "object") traits = userId;
      else me.u = userId;
      remember();
      emit("identify", { traits: traits || {} });
    },
    group: (groupId, traits) => emit("group", { groupId, traits: traits || {} }),
    alias(userId, previousId = me.u || me.a) {
      if (!listening()) return;
      me.u = userId;
      remember();
      emit("alias", { previousId });
    },
    reset() {
      me = { a: uuid() };
      remember();
    },
  };

  // Calls wait in the array for init.
  const run = guard(([name, ...given]) => {
    if (view || name === "init") commands[name](...given);
    else Array.prototype.push.call(api, [name, ...given]);
  });
  Object.keys(commands).forEach((name) => (api[name] = (...given) => run([name, ...given])));
  api.push = (...calls) => calls.forEach(run);

  run(api.find((call) => call[0] === "init") || ["init", Object.assign({}, script && script.dataset)]);
})();
