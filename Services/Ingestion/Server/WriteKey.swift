import Crypto
import Foundation
import Models
import ServiceKit

/// A key that a source sends under: public, and good for appending alone.
struct WriteKey: Sendable {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    /// The user of a Basic `Authorization` header (RFC 7617); the password is not looked at.
    init?(authorization: String?) {
        guard let authorization, authorization.lowercased().hasPrefix("basic "),
            let data = Data(
                base64Encoded: authorization.dropFirst("basic ".count).trimmingCharacters(in: .whitespaces)),
            let user = String(data: data, encoding: .utf8)?
                .split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first,
            !user.isEmpty
        else { return nil }
        text = String(user)
    }

    /// A new one: 192 random bits.
    static func make() -> WriteKey {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return WriteKey("wk_" + Data(bytes).base64URL)
    }

    /// What is stored instead of the key. The key is random, so a plain hash cannot be reversed by guessing.
    var hash: [UInt8] { Array(SHA256.hash(data: Data(text.utf8))) }

    /// What tells it apart from others in a list.
    var hint: String { String(text.suffix(4)) }
}

/// Which source a write key belongs to, remembered for a moment so that not every request asks the database.
actor WriteKeyDirectory {
    private struct Known {
        var source: SourceID
        var until: ContinuousClock.Instant
    }

    /// How long a revoked key may still be good.
    private static let lifetime: Duration = .seconds(5)
    private static let capacity = 10_000

    private let store: SourceStore
    private var known: [[UInt8]: Known] = [:]

    init(store: SourceStore) {
        self.store = store
    }

    func source(of key: WriteKey) async throws -> SourceID? {
        // Longer than any key there is; not worth hashing.
        guard key.text.utf8.count <= 256 else { return nil }
        let hash = key.hash
        if let hit = known[hash], hit.until > .now { return hit.source }
        guard let source = try await store.source(ofKeyHash: hash) else {
            known[hash] = nil
            return nil
        }
        if known.count >= Self.capacity { known.removeAll() }
        known[hash] = Known(source: source, until: .now + Self.lifetime)
        return source
    }
}
