import Foundation
import Models
import Postgres

/// The SQL of notices that were written as files.
struct NoticeFileStore: Sendable {
    func note(
        _ id: MessageID, to address: AddressKey, at now: Instant, in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            INSERT INTO delivery.notice_file (shard, address_hash, message_id, written_at)
            VALUES (\(address.shard), \(address.hash), \(id), \(now)) ON CONFLICT DO NOTHING
            """)
    }

    /// Forgets those to addresses, and to those that the profiles have; returns them.
    func forget(
        _ addresses: [AddressKey], of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [MessageID] {
        try await transaction.query(
            """
            DELETE FROM delivery.notice_file n USING (
                SELECT i.shard, i.value_hash FROM profiles.identifier i
                WHERE i.profile_id = ANY(\(profiles)::uuid[]) AND i.type = \(Identifier.Kind.email.rawValue)
                UNION
                SELECT * FROM unnest(\(addresses.map(\.shard))::smallint[], \(addresses.map(\.hash))::bytea[])
            ) AS w (shard, hash)
            WHERE n.shard = w.shard AND n.address_hash = w.hash RETURNING n.message_id
            """
        ).map { try $0.get("message_id") }
    }
}
