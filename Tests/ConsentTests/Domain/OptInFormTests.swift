import ConsentDomain
import Models
import Testing

@Suite("Opt-in forms")
struct OptInFormTests {
    @Test("a form is read back as it was written, and shown in a language that it has")
    func reading() throws {
        var generator = seededGenerator()
        for _ in 0..<300 {
            let languages = PageLanguage.allCases.filter { _ in Bool.random(using: &generator) }
            let json: JSON = [
                "purposes": ["news", "ads"],
                "languages": .object(
                    Dictionary(
                        uniqueKeysWithValues: languages.map {
                            (
                                $0.rawValue,
                                ["title": .string($0.rawValue), "text": "x\ny", "mailSubject": "s"]
                            )
                        })),
            ]
            guard !languages.isEmpty else {
                #expect(throws: DecodingProblem.self) { try OptInForm(json) }
                continue
            }
            let form = try OptInForm(json)
            #expect(try OptInForm(form.json) == form)
            #expect(form.purposes == ["ads", "news"] && form.languages == languages)
            for wanted in PageLanguage.allCases {
                let shown = try #require(form.shown(in: wanted))
                #expect(shown.words.title == shown.language.rawValue)
                if languages.contains(wanted) {
                    #expect(shown.language == wanted)
                } else if languages.contains(.english) {
                    #expect(shown.language == .english)
                }
            }
        }
    }

    @Test("a subject can't break out of its header, nor a title out of its page")
    func controls() {
        for text in ["a\r\nBcc: b@example.com", "a\u{0}", "a\u{1B}[1m", ""] {
            #expect(throws: DecodingProblem.self) {
                try OptInForm([
                    "purposes": ["news"],
                    "languages": ["en": ["title": "t", "text": "x", "mailSubject": .string(text)]],
                ])
            }
        }
    }
}
