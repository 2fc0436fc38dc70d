import ConsentDomain
import Foundation
import HTTPTypes
import Models
import ServiceKit

/// The pages of what the CCPA gives people.
enum ChoicePage {
    /// Not to have data sold or shared, and to have the use of sensitive data limited.
    struct Choices: Sendable {
        let language: PageLanguage
        let offer: ChoiceDesk.Offer
        /// What the browser that it is about is called, if that is known.
        let browser: String?
        /// Whether the browser says by itself that data is not to be sold or shared.
        let hasPrivacyControl: Bool
        let token: String

        private var texts: ChoiceTexts { ChoiceTexts.of(language) }

        /// With what was just done or was wrong; once it is done there is no form.
        func answer(
            _ notice: PageLayout.Notice? = nil, isOver: Bool = false, status: HTTPResponse.Status = .ok
        ) -> ServiceResponse {
            let isWrong = status == .unprocessableContent
            let body: HTML = """
                \(hasPrivacyControl ? "<p class=\"notice done\">\(texts.privacyControl)</p>\n" : nil)<p>\(texts.introduction)</p>
                \(offer.sale.isEmpty ? "<p>\(texts.nothingSold)</p>\n" : nil)\(isOver || isEmpty ? nil : form(isWrong))<section><h2>\(texts.requestsTitle)</h2>
                <p class="hint">\(texts.requestsHint)</p>
                <p><a class="button quiet" href="privacy-choices/requests?lang=\(language.rawValue)">\(texts.requestsLink)</a></p></section>

                """
            return PageLayout.answer(
                body, title: texts.title, in: language, notice: notice, here: "privacy-choices",
                keeping: browser.map { "&anonymousId=\(Self.escaped($0))" } ?? "", status: status)
        }

        private var isEmpty: Bool { offer.sale.isEmpty && offer.sensitive.isEmpty }

        private func form(_ isWrong: Bool) -> HTML {
            """
            <form method="post" action="privacy-choices?lang=\(language.rawValue)">
            <input type="hidden" name="form" value="\(token)">
            \(browser.map { "<input type=\"hidden\" name=\"anonymousId\" value=\"\($0)\">\n" as HTML })<fieldset><legend><h2>\(texts.choices)</h2></legend>
            \(offer.sale.isEmpty ? nil : choice("sale", texts.sale, texts.saleHint, isOn: true))\(offer.sensitive.isEmpty ? nil : choice("limit", texts.limit, texts.limitHint, isOn: offer.sale.isEmpty))</fieldset>
            <p><label for="email">\(browser == nil ? OptInTexts.of(language).address : texts.addressToo)</label><br>
            <input type="email" id="email" name="email" autocomplete="email" maxlength="254" aria-describedby="email-hint"\(attribute: "required", if: browser == nil)\(attribute: "aria-invalid=\"true\"", if: isWrong)></p>
            <p class="hint" id="email-hint">\(browser == nil ? texts.addressHint : texts.browserHint)</p>
            <button type="submit">\(texts.choose)</button>
            </form>

            """
        }

        private func choice(_ name: String, _ label: String, _ hint: String, isOn: Bool) -> HTML {
            """
            <div class="choice"><input type="checkbox" id="\(name)" name="\(name)" value="yes" aria-describedby="\(name)-more"\(attribute: "checked", if: isOn)><label for="\(name)">\(label)</label>
            <p id="\(name)-more">\(hint)</p></div>

            """
        }

        private static func escaped(_ text: String) -> String {
            text.utf8.reduce(into: "") { result, byte in
                switch byte {
                case 48...57, 65...90, 97...122, 45, 46, 95, 126:
                    result.unicodeScalars.append(Unicode.Scalar(byte))
                default: result += "%" + hexadecimal([byte]).uppercased()
                }
            }
        }
    }

    /// To know, and to have deleted.
    struct Asking: Sendable {
        let language: PageLanguage
        let token: String

        func answer(
            _ notice: PageLayout.Notice? = nil, status: HTTPResponse.Status = .ok
        ) -> ServiceResponse {
            let texts = ChoiceTexts.of(language)
            let isWrong = status == .unprocessableContent
            let body: HTML = """
                <p>\(texts.requestsIntroduction)</p>
                <form method="post" action="requests?lang=\(language.rawValue)">
                <input type="hidden" name="form" value="\(token)">
                <fieldset><legend><h2>\(texts.requestsQuestion)</h2></legend>
                <div class="choice"><input type="radio" id="know" name="kind" value="know" checked><label for="know">\(texts.know)</label></div>
                <div class="choice"><input type="radio" id="delete" name="kind" value="delete"><label for="delete">\(texts.delete)</label></div></fieldset>
                <p><label for="email">\(OptInTexts.of(language).address)</label><br>
                <input type="email" id="email" name="email" autocomplete="email" required maxlength="254" aria-describedby="email-hint"\(attribute: "aria-invalid=\"true\"", if: isWrong)></p>
                <p class="hint" id="email-hint">\(texts.requestsAddressHint)</p>
                <button type="submit">\(OptInTexts.of(language).ask)</button>
                </form>
                <p><a href="../privacy-choices?lang=\(language.rawValue)">\(texts.title)</a></p>

                """
            return PageLayout.answer(
                body, title: texts.requestsTitle, in: language, notice: notice, here: "requests",
                status: status)
        }
    }

    /// The question behind the link in the mail: a program that follows links asks for nothing.
    static func question(_ asked: ChoiceDesk.Asked, here: String) -> ServiceResponse {
        let texts = ChoiceTexts.of(asked.language)
        let isDeletion = asked.kind == .delete
        let button: HTML =
            isDeletion
            ? "<button type=\"submit\" class=\"danger\" name=\"confirm\" value=\"yes\">\(texts.deleteConfirm)</button>"
            : "<button type=\"submit\" name=\"confirm\" value=\"yes\">\(texts.knowConfirm)</button>"
        let body: HTML = """
            <p>\(isDeletion ? texts.deleteWarning : texts.knowQuestion)</p>
            <form method="post" action="\(here)">
            \(button)
            </form>

            """
        return PageLayout.answer(
            body, title: isDeletion ? texts.delete : texts.know, in: asked.language, here: nil)
    }

    static func confirmed(_ asked: ChoiceDesk.Asked, _ outcome: ChoiceDesk.Outcome) -> ServiceResponse {
        let texts = ChoiceTexts.of(asked.language)
        let body: HTML =
            switch outcome {
            case .unknown: "<p role=\"status\">\(texts.nothingKnown)</p>\n"
            case .filed(let request): filed(request, texts, PageTexts.of(asked.language))
            }
        return PageLayout.answer(
            body, title: asked.kind == .delete ? texts.delete : texts.know, in: asked.language, here: nil)
    }

    private static func filed(
        _ request: StoredPrivacyRequest, _ texts: ChoiceTexts, _ page: PageTexts
    ) -> HTML {
        let lifecycle = request.lifecycle
        return """
            <p role="status">\(texts.filed)</p>
            <p>\(page.requestLine(page.day(lifecycle.receivedAt), page.day(lifecycle.dueAt)))<br>\(page.reference): <code>\(request.id.description)</code></p>

            """
    }

    /// The mail with the link.
    static func notice(
        _ kind: PrivacyRequestKind, in language: PageLanguage, url: String
    ) -> MailedForms.Notice {
        let texts = ChoiceTexts.of(language)
        let optIn = OptInTexts.of(language)
        let what = kind == .delete ? texts.delete : texts.know
        let html: HTML = """
            <!DOCTYPE html>
            <html lang="\(language.rawValue)"><head><meta charset="utf-8"><title>\(what)</title></head>
            <body><h1>\(what)</h1><p>\(optIn.mailConfirm)<br><a href="\(url)">\(url)</a></p><p>\(optIn.mailIgnore)</p></body></html>

            """
        return .init(
            subject: what, text: "\(what)\n\n\(optIn.mailConfirm)\n\(url)\n\n\(optIn.mailIgnore)\n",
            html: html)
    }
}
