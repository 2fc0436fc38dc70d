import Crypto
package import Models

/// Who has read or changed what, and why: what goes to the audit log of a service. It holds ids, never what people are
/// called.
package struct AuditEntry: Hashable, Sendable {
    package enum Action: String, Sendable, CaseIterable {
        /// People's data was shown.
        case read
        /// People's data was changed, and shown.
        case write
        /// What operators set up was changed.
        case change
    }

    package enum Outcome: String, Sendable, CaseIterable {
        case done
        /// A change that left everything as it was.
        case unchanged
        case refused
        /// A write that ended with an error of the service: what it had done before may stand.
        case failed
    }

    /// A key, a service or the command line.
    package var actor: String
    package var action: Action
    /// The route with its braces, or the command.
    package var route: String
    /// Whose data it was.
    package var subjects: [ProfileID]
    /// What it was, by its id; of several the path of them.
    package var target: String?
    /// What the caller gave as its reason (`X-Martlet-Reason`).
    package var reason: String?
    package var outcome: Outcome
    /// What was answered; none in an entry that was committed with its change.
    package var status: Int?

    package init(
        actor: String, action: Action, route: String, subjects: [ProfileID] = [], target: String? = nil,
        reason: String? = nil, outcome: Outcome = .done, status: Int? = nil
    ) {
        self.actor = actor
        self.action = action
        self.route = route
        self.subjects = subjects
        self.target = target
        self.reason = reason
        self.outcome = outcome
        self.status = status
    }

    /// The chain that it goes to. Whoever does much at a time has one of their own.
    package var shard: Shard { Shard(hashing: actor) }
}

/// An entry as it stands in its chain.
package struct AuditLink: ChainLink, Hashable {
    package let shard: Shard
    package let position: Int64
    package let at: Instant
    package let entry: AuditEntry
    package let previousHash: [UInt8]
    package var hash: [UInt8]

    package func canonicalBytes() -> [UInt8] {
        let members: [JSON] = [
            .integer(Int64(shard.number)), .integer(position), .string(at.rfc3339), .string(entry.actor),
            .string(entry.action.rawValue), .string(entry.route),
            .array(entry.subjects.map { .string($0.description) }), Self.text(entry.target),
            Self.text(entry.reason), .string(entry.outcome.rawValue),
            entry.status.map { .integer(Int64($0)) } ?? .null, .string(hexadecimal(previousHash)),
        ]
        var bytes: [UInt8] = []
        JSON.array(members).write(into: &bytes)
        return bytes
    }

    private static func text(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }

    package var json: JSON {
        [
            "shard": .integer(Int64(shard.number)), "position": .integer(position), "at": .string(at.rfc3339),
            "actor": .string(entry.actor), "action": .string(entry.action.rawValue),
            "route": .string(entry.route),
            "subjects": .array(entry.subjects.map { .string($0.description) }),
            "target": Self.text(entry.target), "reason": Self.text(entry.reason),
            "outcome": .string(entry.outcome.rawValue),
            "status": entry.status.map { .integer(Int64($0)) } ?? .null, "hash": .string(hexadecimal(hash)),
        ]
    }
}

/// The log of one schema.
package struct AuditLog: Hashable, Sendable {
    /// What its heads and its genesis call it.
    package let name: String
    package let schema: String

    package init(of service: ServiceName) { (name, schema) = (service.rawValue, service.schema) }

    private init(name: String, schema: String) { (self.name, self.schema) = (name, schema) }

    /// The log of API keys, which the command line makes and ends.
    package static let keys = AuditLog(name: "keys", schema: "platform")

    static let sha256: ChainDigest = { Array(SHA256.hash(data: $0)) }

    /// What the first entry of a shard follows.
    func genesis(of shard: Shard) -> [UInt8] {
        Self.sha256(Array("martlet audit log of \(name), shard \(shard.number)".utf8))
    }
}
