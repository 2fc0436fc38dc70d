import ConsentDomain
import HTTPTypes
import Models
import ServiceKit

/// The page on which somebody sees and changes what they allow, and the one that asks whether to erase them.
struct PreferencePage: Sendable {
    let language: PageLanguage
    let state: PreferenceState
    /// Theirs, the last first.
    let requests: [StoredPrivacyRequest]
    /// How this page leads to that of the preferences.
    let root: String
    /// By what it is known that a form is of this page: one for each thing that it does.
    let formToken: @Sendable (PageForm.Action) -> String

    private var texts: PageTexts { PageTexts.of(language) }
    private var query: String { "?lang=\(language.rawValue)" }

    /// An erasure that is going on. One that still waits for somebody to show who they are takes nothing away from them.
    var erasure: StoredPrivacyRequest? {
        requests.first { $0.kind.work == .erasure && $0.lifecycle.state == .inProgress }
    }

    func preferences(
        _ notice: PageLayout.Notice? = nil, status: HTTPResponse.Status = .ok
    ) -> ServiceResponse {
        let body: HTML =
            erasure == nil
            ? "<p>\(texts.introduction)</p>\n\(choices)\(all)\(data)\(erase)\(asked)" : "\(asked)"
        return PageLayout.answer(
            body, title: texts.title, in: language,
            notice: erasure == nil ? notice : notice ?? .done(texts.beingErased), here: root, status: status)
    }

    func eraseQuestion(_ notice: PageLayout.Notice? = nil, status: HTTPResponse.Status = .ok)
        -> ServiceResponse
    {
        let body: HTML = """
            <p>\(texts.eraseWarning)</p>
            <form method="post" action="\(root)/erasure\(query)">
            \(token(.erasure))<div class="choice"><input type="checkbox" id="understood" name="understood" value="yes"><label for="understood">\(texts.eraseUnderstood)</label></div>
            <button type="submit" class="danger">\(texts.eraseConfirm)</button>
            </form>
            <p><a href="\(root)\(query)">\(texts.back)</a></p>

            """
        return PageLayout.answer(
            body, title: texts.eraseTitle, in: language, notice: notice, here: "\(root)/erasure",
            status: status)
    }

    // MARK: The form

    private var choices: HTML {
        """
        <form method="post" action="\(root)\(query)">
        \(token(.save))<fieldset><legend><h2>\(texts.purposes)</h2></legend>
        \(purposes)</fieldset>
        <fieldset><legend><h2>\(texts.channels)</h2></legend>
        <p class="hint">\(texts.channelsHint)</p>
        \(state.channels.enumerated().map { channel($0.offset, $0.element) })</fieldset>
        <fieldset><legend><h2>\(texts.frequency)</h2></legend>
        <p class="hint">\(texts.frequencyHint)</p>
        \(frequency(nil))\(ContactFrequency.allCases.map { frequency($0) })</fieldset>
        <button type="submit">\(texts.save)</button>
        </form>
        \(always)
        """
    }

    private var purposes: HTML {
        if state.choosable.isEmpty { return "<p class=\"hint\">\(texts.noPurposes)</p>\n" }
        return
            "<p class=\"hint\">\(texts.purposesHint)</p>\n\(state.choosable.enumerated().map { purpose($0.offset, $0.element) })"
    }

    private func purpose(_ number: Int, _ purpose: Purpose) -> HTML {
        """
        <div class="choice"><input type="checkbox" id="purpose-\(number)" name="purpose.\(purpose.id)" value="yes" aria-describedby="purpose-\(number)-more"\(attribute: "checked", if: state.isOn(purpose))><label for="purpose-\(number)"\(locale(of: purpose))>\(name(of: purpose))</label>
        <p id="purpose-\(number)-more">\(standing(of: purpose))</p></div>

        """
    }

    private func name(of purpose: Purpose) -> String { purpose.text(in: language)?.text ?? purpose.name }

    /// The language of a text that is not that of the page.
    private func locale(of purpose: Purpose) -> HTML? {
        guard let locale = purpose.text(in: language)?.locale, PageLanguage(tag: locale) != language else {
            return nil
        }
        return " lang=\"\(locale)\""
    }

    private func standing(of purpose: Purpose) -> String {
        var sentences: [String] = []
        if purpose.legalBasis == .legitimateInterest { sentences.append(texts.legitimateInterest) }
        if let word = state.words[purpose.id] {
            let said = texts.day(word.at)
            let end = purpose.expiry(of: word)
            switch (word.state, end) {
            case (.withdrawn, _): sentences.append(texts.withdrawnOn(said))
            case (.granted, .some(let end)) where end <= state.now:
                sentences.append(texts.expiredOn(texts.day(end)))
            case (.granted, .some(let end)):
                sentences += [texts.agreedOn(said), texts.until(texts.day(end))]
            case (.granted, nil): sentences.append(texts.agreedOn(said))
            }
        } else if purpose.legalBasis == .consent {
            sentences.append(texts.neverAsked)
        }
        if let recipient = purpose.recipient { sentences.append(texts.sharedWith(recipient)) }
        return sentences.joined(separator: " ")
    }

    private func channel(_ number: Int, _ channel: String) -> HTML {
        """
        <div class="choice"><input type="checkbox" id="channel-\(number)" name="channel.\(channel)" value="yes"\(attribute: "checked", if: !ContactWish.refuses(channel, state.words))><label for="channel-\(number)">\(texts.channelNames[channel] ?? channel)</label></div>

        """
    }

    private func frequency(_ frequency: ContactFrequency?) -> HTML {
        let value = frequency?.rawValue ?? PageForm.noFrequency
        return """
            <div class="choice"><input type="radio" id="frequency-\(value)" name="frequency" value="\(value)"\(attribute: "checked", if: state.frequency == frequency)><label for="frequency-\(value)">\(frequency.map(texts.frequencies) ?? texts.asItComes)</label></div>

            """
    }

    private var always: HTML? {
        guard !state.fixed.isEmpty else { return nil }
        let items = state.fixed.map { purpose -> HTML in
            "<li\(locale(of: purpose))>\(name(of: purpose))</li>\n"
        }
        return """
            <section><h2>\(texts.always)</h2>
            <p class="hint">\(texts.alwaysHint)</p>
            <ul>
            \(items)</ul></section>

            """
    }

    // MARK: The rest

    private var all: HTML? {
        state.choosable.isEmpty
            ? nil
            : """
            <section><h2>\(texts.unsubscribe)</h2>
            <p class="hint">\(texts.unsubscribeHint)</p>
            <form method="post" action="\(root)/unsubscribe\(query)">
            \(token(.unsubscribe))<button type="submit">\(texts.unsubscribeButton)</button>
            </form></section>

            """
    }

    private var data: HTML {
        """
        <section><h2>\(texts.data)</h2>
        <p class="hint">\(texts.dataHint)</p>
        <form method="post" action="\(root)/data\(query)">
        \(token(.data))<button type="submit" class="quiet">\(texts.dataButton)</button>
        </form></section>

        """
    }

    private var erase: HTML {
        """
        <section><h2>\(texts.erasure)</h2>
        <p class="hint">\(texts.erasureHint)</p>
        <a class="button quiet" href="\(root)/erasure\(query)">\(texts.erasureButton)</a></section>

        """
    }

    /// How many of somebody's requests are shown.
    private static let mostRequests = 10

    private var asked: HTML? {
        guard !requests.isEmpty else { return nil }
        let items = requests.prefix(Self.mostRequests).map { request -> HTML in
            """
            <li><strong>\(texts.request(request.kind))</strong>: \(texts.state(request.lifecycle.state)). \(texts.requestLine(texts.day(request.lifecycle.receivedAt), texts.day(request.lifecycle.dueAt))) \(texts.reference): <code>\(request.id.description)</code></li>

            """
        }
        return """
            <section><h2>\(texts.requests)</h2>
            <ul>
            \(items)</ul></section>

            """
    }

    private func token(_ action: PageForm.Action) -> HTML {
        "<input type=\"hidden\" name=\"form\" value=\"\(formToken(action))\">\n"
    }
}
