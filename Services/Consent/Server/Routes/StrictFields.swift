import Models
import ServiceKit

extension JSONFields {
    /// A string of a bounded number of characters.
    func text(_ key: String, limit: Int) throws(DecodingProblem) -> String {
        guard let text = self[key]?.string, (1...limit).contains(text.unicodeScalars.count) else {
            throw problem(key, expected: "a string of 1 to \(limit) characters")
        }
        return text
    }

    /// A string that a rule accepts.
    func text(
        _ key: String, expected: String, _ accepts: (String) -> Bool
    ) throws(DecodingProblem) -> String {
        guard let text = self[key]?.string, accepts(text) else { throw problem(key, expected: expected) }
        return text
    }
}

/// What a purpose's id has to look like, for people.
let purposeIDRule = "1 to 64 lower-case letters, digits, - and _, a letter first"
/// What a source or a text version has to look like, for people.
let labelRule = "1 to 128 letters, digits, spaces and . _ : / -"
