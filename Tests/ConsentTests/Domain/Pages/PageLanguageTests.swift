import ConsentDomain
import Models
import Testing

@Suite("The language of a page")
struct PageLanguageTests {
    @Test("what is asked for counts, then what the browser prefers, then English")
    func languages() {
        let cases: [(String?, String?, PageLanguage)] = [
            (nil, nil, .english), ("de", "fr", .german), ("de-CH", nil, .german), ("DE", nil, .german),
            ("it", "fr", .french), ("", "es", .spanish), (nil, "it,de;q=0.5", .german),
            (nil, "en;q=0.5, fr;q=0.9", .french), (nil, "de, fr", .german),
            (nil, "de;q=0, fr;q=0.1", .french),
            (nil, "es-419,es;q=0.9,en;q=0.8", .spanish), (nil, "*", .english),
            (nil, "de;q=x,fr;q=0.001", .french),
            (nil, "de;q=2,es;q=1", .spanish), (nil, "de ; q=0.2 , fr ; Q=0.3", .french),
            (nil, ";;,,=", .english),
            (nil, "de;q=0.1234,es;q=0.1", .spanish),
        ]
        for (asked, header, language) in cases {
            #expect(
                PageLanguage(asked: asked, accepting: header) == language, "\(asked ?? "-") \(header ?? "-")")
        }
    }

    @Test("no header breaks it")
    func fuzz() {
        var generator = seededGenerator()
        let pieces = [
            "de", "fr-CH", ";q=", "0.5", "1.", ",", " ", "*", "é", "\u{0}", "q", "-", "es", "9", "\t",
        ]
        for _ in 0..<2_000 {
            let header = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined()
            _ = PageLanguage(asked: header, accepting: header)
        }
        #expect(
            PageLanguage(asked: nil, accepting: String(repeating: "it,", count: 100_000) + "de") == .english)
    }

    @Test("a text in another language is better than none, and says which it is in")
    func texts() {
        var purpose = Purpose(id: "a", name: "A", legalBasis: .consent, textVersion: "1")
        #expect(purpose.text(in: .german) == nil)
        purpose.texts = ["it": "sì"]
        #expect(purpose.text(in: .german)?.locale == "it")
        purpose.texts["en-GB"] = "yes"
        #expect(purpose.text(in: .german)?.locale == "en-GB")
        purpose.texts["de-CH"] = "ja"
        #expect(purpose.text(in: .german)?.text == "ja")
        purpose.texts["de"] = "jawohl"
        #expect(purpose.text(in: .german)?.text == "jawohl")
        #expect(purpose.text(in: .english)?.text == "yes")
    }
}
