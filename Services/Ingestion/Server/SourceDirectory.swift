import IngestionDomain
import Models
import ServiceKit
import Synchronization

/// A source as far as collecting needs to know it.
struct KnownSource: Sendable {
    var id: SourceID
    var treatment = SourceTreatment()
    /// The tracking plan in force, with its version.
    var plan: (version: Int, plan: TrackingPlan)?
}

/// What is done to every event of a source before it is stored.
struct SourceTreatment: Hashable, Sendable {
    /// What becomes of `context.ip`.
    enum IP: String, CaseIterable, Sendable {
        /// The last byte of an IPv4 address, and all but the first 48 bits of an IPv6 address, become zero.
        case truncate
        case keep
        case drop
    }

    var ip = IP.truncate
    /// Whether the ecommerce names of Google Analytics are brought to those of Segment's specification.
    var vocabulary = true
}

/// Which source a write key belongs to, remembered for a moment so that not every request asks the database.
final class SourceDirectory: Sendable {
    private struct Known {
        var source: KnownSource
        var until: ContinuousClock.Instant
    }

    /// How long a revoked key may still be good, and an old plan in force.
    private static let lifetime: Duration = .seconds(5)
    private static let capacity = 10_000

    private struct Memory {
        /// By the text of the header, which saves reading and hashing it.
        var senders: [String: Known] = [:]
        var known: [[UInt8]: Known] = [:]
        var plans: [SourceID: (version: Int, plan: TrackingPlan)] = [:]
    }

    private let store: SourceStore
    private let memory = Mutex(Memory())

    init(store: SourceStore) {
        self.store = store
    }

    func source(of key: WriteKey) async throws -> KnownSource? {
        // Longer than any key there is; not worth hashing.
        guard key.text.utf8.count <= 256 else { return nil }
        let hash = key.hash
        if let hit = remembered(hash) { return hit }
        guard let found = try await store.source(ofKeyHash: hash) else {
            memory.withLock { memory in
                memory.known[hash] = nil
                memory.senders.removeAll()
            }
            return nil
        }
        let source = try await complete(found)
        memory.withLock { memory in
            if memory.known.count >= Self.capacity { memory.known.removeAll() }
            memory.known[hash] = Known(source: source, until: .now + Self.lifetime)
        }
        return source
    }

    /// The source that a key is known to belong to, without asking the database.
    func remembered(_ key: WriteKey) -> KnownSource? {
        key.text.utf8.count <= 256 ? remembered(key.hash) : nil
    }

    /// The source that a Basic `Authorization` header is known to stand for.
    func remembered(authorization: String) -> KnownSource? {
        guard authorization.utf8.count <= 512 else { return nil }
        let now = ContinuousClock.now
        if let hit = memory.withLock({ $0.senders[authorization] }), hit.until > now { return hit.source }
        guard let key = WriteKey(authorization: authorization), key.text.utf8.count <= 256 else { return nil }
        let hash = key.hash
        return memory.withLock { memory in
            guard let known = memory.known[hash], known.until > now else { return nil }
            if memory.senders.count >= Self.capacity { memory.senders.removeAll() }
            memory.senders[authorization] = known
            return known.source
        }
    }

    private func remembered(_ hash: [UInt8]) -> KnownSource? {
        guard let hit = memory.withLock({ $0.known[hash] }), hit.until > .now else { return nil }
        return hit.source
    }

    /// A source by its id, as it is now.
    func source(_ id: SourceID) async throws -> KnownSource? {
        guard let found = try await store.source(id) else { return nil }
        return try await complete(found)
    }

    /// Reads the plan, unless this version has been read before.
    private func complete(_ found: SourceStore.Found) async throws -> KnownSource {
        var source = KnownSource(id: found.id, treatment: found.treatment)
        guard let version = found.planVersion else { return source }
        if let cached = memory.withLock({ $0.plans[found.id] }), cached.version == version {
            source.plan = cached
        } else if let plan = try await store.plan(of: found.id, version: version)?.plan {
            memory.withLock { memory in
                if memory.plans.count >= Self.capacity { memory.plans.removeAll() }
                memory.plans[found.id] = (version, plan)
            }
            source.plan = (version, plan)
        }
        return source
    }
}
