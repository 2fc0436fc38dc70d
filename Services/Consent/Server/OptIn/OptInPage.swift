import ConsentDomain
import HTTPTypes
import ServiceKit

/// The pages of opt-in forms.
enum OptInPage {
    /// The form itself; `here` is its own name, to which it is sent.
    static func form(
        _ words: OptInForm.Words, in language: PageLanguage, of languages: [PageLanguage], here: String,
        notice: PageLayout.Notice? = nil, status: HTTPResponse.Status = .ok
    ) -> ServiceResponse {
        let texts = OptInTexts.of(language)
        let isWrong = if case .failed = notice { true } else { false }
        let body: HTML = """
            \(paragraphs(words.text))<form method="post" action="\(here)?lang=\(language.rawValue)">
            <p><label for="email">\(texts.address)</label><br>
            <input type="email" id="email" name="email" autocomplete="email" required maxlength="254" aria-describedby="email-hint"\(attribute: "aria-invalid=\"true\"", if: isWrong)></p>
            <p class="hint" id="email-hint">\(texts.hint)</p>
            <button type="submit">\(texts.ask)</button>
            </form>

            """
        return PageLayout.answer(
            body, title: words.title, in: language, notice: notice, here: here, languages: languages,
            status: status)
    }

    /// The same for whoever the address is of.
    static func asked(_ language: PageLanguage) -> ServiceResponse {
        let texts = OptInTexts.of(language)
        return PageLayout.answer(
            "<p role=\"status\">\(texts.asked)</p>\n", title: texts.askedTitle, in: language, here: nil)
    }

    /// The question behind the link in the mail: a program that follows links confirms nothing.
    static func question(_ asked: OptInDesk.Asked, here: String) -> ServiceResponse {
        let body: HTML = """
            \(paragraphs(asked.text))<form method="post" action="\(here)">
            <button type="submit" name="confirm" value="yes">\(OptInTexts.of(asked.language).confirm)</button>
            </form>

            """
        return PageLayout.answer(body, title: asked.title, in: asked.language, here: nil)
    }

    static func confirmed(_ language: PageLanguage) -> ServiceResponse {
        let texts = OptInTexts.of(language)
        return PageLayout.answer(
            "<p role=\"status\">\(texts.confirmed)</p>\n", title: texts.confirmedTitle, in: language,
            here: nil)
    }

    private static func paragraphs(_ text: String) -> [HTML] {
        text.split(separator: "\n").map { "<p>\(String($0))</p>\n" }
    }
}
