package import Models

/// The three parts of a mail, parsed.
package struct MailTemplate: Hashable, Sendable {
    package enum Part: String, Hashable, Sendable, CaseIterable {
        case subject
        case html
        case text
    }

    /// A mistake in one of the parts.
    package struct Mistake: Error, Hashable, Sendable {
        package var part: Part
        package var error: LiquidError

        package var json: JSON {
            [
                "part": .string(part.rawValue), "line": .integer(Int64(error.line)),
                "column": .integer(Int64(error.column)), "message": .string(error.message),
                "expected": .string(error.expected),
            ]
        }
    }

    /// Mistakes in several parts are reported together.
    package struct Mistakes: Error, Hashable, Sendable {
        package var list: [Mistake]
    }

    /// A mail ready to be addressed.
    package struct Rendered: Hashable, Sendable {
        package var subject: String
        package var html: String
        package var text: String
    }

    private let parts: [Part: LiquidTemplate]

    /// Parses the parts; all mistakes come at once.
    package init(subject: String, html: String, text: String) throws(Mistakes) {
        var parts: [Part: LiquidTemplate] = [:]
        var mistakes: [Mistake] = []
        for (part, source) in [(Part.subject, subject), (.html, html), (.text, text)] {
            do throws(LiquidError) {
                parts[part] = try LiquidTemplate(parsing: source)
            } catch {
                mistakes.append(Mistake(part: part, error: error))
            }
        }
        guard mistakes.isEmpty else { throw Mistakes(list: mistakes) }
        self.parts = parts
    }

    /// The template mentions a word, perhaps as a variable; false is certain.
    package func mentions(_ word: String) -> Bool {
        parts.values.contains { $0.mentions(word) }
    }

    /// Fills the parts in; only HTML is escaped.
    package func render(_ variables: [String: JSON], now: Instant) throws(Mistake) -> Rendered {
        let subject = try render(.subject, variables, now)
        return Rendered(
            subject: subject.withoutControls.trimmed(start: true, end: true),
            html: try render(.html, variables, now),
            text: try render(.text, variables, now))
    }

    private func render(_ part: Part, _ variables: [String: JSON], _ now: Instant) throws(Mistake) -> String {
        do throws(LiquidError) {
            let environment = LiquidEnvironment(escapesHTML: part == .html, now: now)
            return try parts[part]?.render(variables, in: environment) ?? ""
        } catch {
            throw Mistake(part: part, error: error)
        }
    }
}
