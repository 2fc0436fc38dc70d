package import FoundationEssentials
import Synchronization

/// A data key as the database has it: under a key-encryption key that is not in the database.
package struct WrappedKey: Hashable, Sendable {
    /// Which key-encryption key opens it.
    package var kekID: String
    package var bytes: Data

    package init(kekID: String, bytes: Data) {
        self.kekID = kekID
        self.bytes = bytes
    }
}

/// The keys that data keys are wrapped under, from outside of the database: the first wraps, all open.
///
/// Where they come from a file, it is read again when a key is met that is not known, and now and then before one
/// wraps: so a new key reaches processes that run.
package final class KeyEncryptionKeys: Sendable {
    /// One key with its name.
    package struct Entry: Sendable {
        package let id: String
        let key: SealingKey

        package init(id: String, key: SealingKey) {
            self.id = id
            self.key = key
        }

        /// A new key, named by chance.
        package static func random() -> Entry {
            Entry(id: "k" + hex((0..<4).map { _ in .random(in: 0...255) }), key: .random())
        }

        /// The key for who gives none, derived from the secret that identifiers are looked up with.
        package static func derived(from secret: String) -> Entry {
            Entry(id: "derived", key: SealingKey(secret: secret, purpose: "martlet key encryption"))
        }

        /// As it stands in the setting.
        package var text: String {
            let digits = (try? key.withBytes { KeyEncryptionKeys.hex($0) }) ?? ""
            return "\(id):\(digits)"
        }
    }

    private struct State {
        var entries: [Entry]
        var readAt: ContinuousClock.Instant
    }

    private static let staleAfter = Duration.seconds(5)

    private let source: (@Sendable () throws -> [Entry])?
    private let oldest: [Entry]
    private let state: Mutex<State>

    /// `oldest` opens what was wrapped before there were keys of their own. `source` reads the keys anew.
    package init(
        _ entries: [Entry], oldest: [Entry] = [], source: (@Sendable () throws -> [Entry])? = nil
    ) {
        self.source = source
        self.oldest = oldest
        state = Mutex(State(entries: entries + oldest, readAt: .now))
    }

    /// The name of the key that wraps.
    package var currentID: String { state.withLock { $0.entries.first?.id ?? "" } }

    /// Wraps a data key, which then opens at this place alone.
    package func wrap(_ key: SealingKey, at place: String) throws(SealingError) -> WrappedKey {
        if state.withLock({ ContinuousClock.now - $0.readAt > Self.staleAfter }) { readAgain() }
        guard let entry = state.withLock({ $0.entries.first }) else { throw .unknownKey(id: "(none)") }
        let bytes = try key.withBytes { (bytes) throws(SealingError) in
            try entry.key.seal(bytes, at: place)
        }
        return WrappedKey(kekID: entry.id, bytes: bytes)
    }

    /// The data key that was wrapped at this place.
    package func unwrap(_ wrapped: WrappedKey, at place: String) throws(SealingError) -> SealingKey {
        var entry = self.entry(wrapped.kekID)
        if entry == nil {
            readAgain()
            entry = self.entry(wrapped.kekID)
        }
        guard let entry else { throw .unknownKey(id: wrapped.kekID) }
        guard let key = SealingKey(bytes: try entry.key.open(wrapped.bytes, at: place)) else {
            throw .altered(place: place)
        }
        return key
    }

    private func entry(_ id: String) -> Entry? {
        state.withLock { state in state.entries.first { $0.id == id } }
    }

    private func readAgain() {
        // What can't be read now is left as it was.
        guard let source, let entries = try? source() else { return }
        state.withLock { $0 = State(entries: entries + oldest, readAt: .now) }
    }
}

extension KeyEncryptionKeys {
    /// Reads `id:` and 64 hexadecimal digits for each key, apart by spaces, commas or lines; the first one wraps.
    package static func parse(_ text: String) throws(KeyEncryptionKeysProblem) -> [Entry] {
        var entries: [Entry] = []
        for (index, word) in text.split(whereSeparator: { $0.isWhitespace || $0 == "," }).enumerated() {
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, isName(parts[0]), parts[0] != "derived", let bytes = bytes(parts[1]),
                let key = SealingKey(bytes: bytes)
            else { throw KeyEncryptionKeysProblem(number: index + 1) }
            guard !entries.contains(where: { $0.id == parts[0] }) else {
                throw KeyEncryptionKeysProblem(number: index + 1)
            }
            entries.append(Entry(id: String(parts[0]), key: key))
        }
        guard !entries.isEmpty else { throw KeyEncryptionKeysProblem(number: 1) }
        return entries
    }

    private static func isName(_ text: Substring) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    private static func bytes(_ digits: Substring) -> [UInt8]? {
        let digits = Array(digits.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: 64, by: 2) {
            guard let byte = UInt8(String(decoding: digits[place...place + 1], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// What is wrong with the list of key-encryption keys; it never repeats what stands there.
package struct KeyEncryptionKeysProblem: Error, CustomStringConvertible {
    /// The place in the list, from 1.
    package let number: Int

    package var description: String {
        "key \(number): expected a name that no other key has, a colon, and 64 hexadecimal digits, such as made"
            + " with `echo k1:$(openssl rand -hex 32)`"
    }
}
