package import Models

/// A form by which anybody asks for something with their address, and confirms it by the link in a mail (double opt-in).
package struct OptInForm: Hashable, Sendable {
    /// What is shown and sent in one language.
    package struct Words: Hashable, Sendable {
        package let title: String
        /// What the person agrees to; on the form, in the mail, and where it is confirmed.
        package let text: String
        package let mailSubject: String

        package init(title: String, text: String, mailSubject: String) {
            (self.title, self.text, self.mailSubject) = (title, text, mailSubject)
        }
    }

    /// What is granted by it, in the order of their ids.
    package let purposes: [String]
    package let words: [PageLanguage: Words]

    private static let mostPurposes = 20

    package init(_ json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(["purposes", "languages"])
        purposes = try Purpose.list(
            "purposes", fields, expected: "the id of a purpose", Purpose.isID
        ).sorted()
        guard (1...Self.mostPurposes).contains(purposes.count) else {
            throw fields.problem("purposes", expected: "1 to \(Self.mostPurposes) ids of purposes")
        }
        let languages = try fields.fields("languages")
        try languages.allow(Set(PageLanguage.allCases.map(\.rawValue)))
        var words: [PageLanguage: Words] = [:]
        for language in PageLanguage.allCases where languages[language.rawValue] != nil {
            let written = try languages.fields(language.rawValue)
            try written.allow(["title", "text", "mailSubject"])
            words[language] = Words(
                title: try Self.text("title", written, limit: 200, mayHaveLines: false),
                text: try Self.text("text", written, limit: 4_000, mayHaveLines: true),
                mailSubject: try Self.text("mailSubject", written, limit: 200, mayHaveLines: false))
        }
        guard !words.isEmpty else {
            throw fields.problem(
                "languages",
                expected:
                    "an object with one or more of \(PageLanguage.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        self.words = words
    }

    private static func text(
        _ key: String, _ fields: JSONFields, limit: Int, mayHaveLines: Bool
    ) throws(DecodingProblem) -> String {
        guard let text = fields[key]?.string, (1...limit).contains(text.unicodeScalars.count),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 && !(mayHaveLines && $0 == "\n") })
        else {
            throw fields.problem(
                key,
                expected:
                    "a string of 1 to \(limit) characters without controls\(mayHaveLines ? " but line feeds" : "")"
            )
        }
        return text
    }

    /// Those that it is written in, in the order of all.
    package var languages: [PageLanguage] { PageLanguage.allCases.filter { words[$0] != nil } }

    /// What is shown to who wants a language: in another one rather than nothing.
    package func shown(in wanted: PageLanguage) -> (language: PageLanguage, words: Words)? {
        for language in [wanted, .english] + PageLanguage.allCases {
            if let words = words[language] { return (language, words) }
        }
        return nil
    }

    package var json: JSON {
        var languages: [String: JSON] = [:]
        for (language, words) in words {
            languages[language.rawValue] = [
                "title": .string(words.title), "text": .string(words.text),
                "mailSubject": .string(words.mailSubject),
            ]
        }
        return ["purposes": .array(purposes.map(JSON.string)), "languages": .object(languages)]
    }
}

/// How much may be asked for by forms, so that nobody is sent mail they don't want through them.
package enum OptInLimit {
    /// Mails to one address within a day, by whichever form.
    package static let mailsToAddress = 3
    package static let addressWindow: Duration = .hours(24)
    /// Forms sent from one address within an hour.
    package static let fromSource = 20
    /// Forms sent from one network within an hour, so that one address does not use up what the others have.
    package static let fromNetwork = 100
    package static let networkWindow: Duration = .hours(1)

    /// Whether a mail goes out to an address to which so many did.
    package static func mayMail(after mails: Int) -> Bool { mails < mailsToAddress }

    /// Whether a form is taken from an address, and a network, from which so many came.
    package static func mayAsk(after forms: (ofSource: Int, ofNetwork: Int)) -> Bool {
        forms.ofSource < fromSource && forms.ofNetwork < fromNetwork
    }
}
