import DeliveryDomain
import Models
import Postgres

/// What people did with their mails.
struct EngagementStore: Sendable {
    let sealing: MessageSealing

    enum Kind: String, Sendable {
        case open
        case click
        case unsubscribe
    }

    /// The message behind a link, as far as tracking needs it.
    struct Target: Sendable {
        var message: QueuedMessage
        var subject: String?
        var addressHash: [UInt8]?
        /// What the link stands for.
        var url: String?
    }

    /// Nil when the message is gone: the person was forgotten.
    func target(
        _ shard: Shard, _ id: MessageID, link: LinkKey? = nil, in session: some PostgresSession
    ) async throws -> Target? {
        let row = try await session.query(
            """
            SELECT \(QueuedMessage.columns), m.subject, m.address_hash, m.links ->> \(link?.description ?? "") AS url
            FROM delivery.message m WHERE m.shard = \(shard) AND m.message_id = \(id)
            """
        ).first
        guard let row else { return nil }
        return Target(
            message: try await QueuedMessage(row, sealing),
            subject: try await sealing.open(try row.get("subject", as: String?.self), .subject, of: id),
            addressHash: try row.get("address_hash", as: [UInt8]?.self),
            url: try await sealing.open(
                try row.get("url", as: String?.self), .link, of: id, link?.description ?? ""))
    }

    /// Whom a message went to and what for, that was let go of.
    struct Remnant: Sendable {
        let profileID: ProfileID
        let purpose: String
        let addressHash: [UInt8]?
    }

    func remnant(
        _ shard: Shard, _ id: MessageID, in session: some PostgresSession
    ) async throws -> Remnant? {
        try await session.query(
            """
            SELECT profile_id, purpose, address_hash FROM delivery.message_remnant
            WHERE shard = \(shard) AND message_id = \(id)
            """
        ).first.map {
            Remnant(
                profileID: try $0.get("profile_id"), purpose: try $0.get("purpose"),
                addressHash: try $0.get("address_hash", as: [UInt8]?.self))
        }
    }

    /// Counts, and says whether it is the first time.
    func count(
        _ kind: Kind, _ shard: Shard, _ id: MessageID, link: LinkKey? = nil, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        let count = try await transaction.query(
            """
            INSERT INTO delivery.engagement AS e (shard, message_id, kind, link_key, first_at, last_at)
            VALUES (\(shard), \(id), \(kind.rawValue), \(link?.description ?? ""), \(now), \(now))
            ON CONFLICT (shard, message_id, kind, link_key)
            DO UPDATE SET count = e.count + 1, last_at = excluded.last_at
            RETURNING count
            """
        ).first?.get("count", as: Int.self)
        return count == 1
    }
}
