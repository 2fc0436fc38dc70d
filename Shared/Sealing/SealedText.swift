package import FoundationEssentials

/// How sealed values stand in columns of text and JSON: `~`, the name of the key, `.`, and the sealed bytes in Base64.
/// No JSON text begins that way, so a body that is sealed can be told from one that is not.
package enum SealedText {
    /// The text of a value that was sealed under a key of this name.
    package static func text(_ sealed: Data, under name: String) -> [UInt8] {
        let encoded = sealed.base64EncodedData()
        var text: [UInt8] = []
        text.reserveCapacity(encoded.count + name.utf8.count + 2)
        text.append(UInt8(ascii: "~"))
        text.append(contentsOf: name.utf8)
        text.append(UInt8(ascii: "."))
        text.append(contentsOf: encoded)
        return text
    }

    /// The name of the key and the sealed bytes; nil for a text that is not sealed.
    package static func read(_ text: String) -> (name: Substring, sealed: Data)? {
        guard text.utf8.first == UInt8(ascii: "~"), let dot = text.utf8.firstIndex(of: UInt8(ascii: "."))
        else { return nil }
        let name = text[text.utf8.index(after: text.startIndex)..<dot]
        guard let sealed = Data(base64Encoded: Data(text.utf8[text.utf8.index(after: dot)...])) else {
            return (name, Data())
        }
        return (name, sealed)
    }
}
