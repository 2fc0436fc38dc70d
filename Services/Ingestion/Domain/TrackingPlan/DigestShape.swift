/// How a hashed value looks: `hashed:` and a digest. A value that looks so is not hashed again, so that an event that
/// comes back from quarantine keeps its values.
///
/// Whoever sends text of that very shape keeps it as it is. It cannot tell more than a digest could.
struct DigestShape: Sendable {
    static let prefix = "hashed:"

    /// Bytes of a digest.
    let length: Int

    /// `hash` gives digests of one length, in letters, digits, `-`, `_`, `+`, `/` and `=`.
    init(_ hash: (String) -> String) { length = hash("").utf8.count }

    func matches(_ text: String) -> Bool {
        guard length > 0, text.utf8.count == Self.prefix.utf8.count + length, text.hasPrefix(Self.prefix)
        else {
            return false
        }
        return text.utf8.dropFirst(Self.prefix.utf8.count).allSatisfy {
            $0.isLetterOrDigit || "-_+/=".utf8.contains($0)
        }
    }
}
