import Foundation
import Models
import Postgres

/// Somebody outside who was told of a person, and what they answered to the erasure.
struct PrivacyRecipient: Sendable {
    enum Status: String, Sendable, CaseIterable {
        case pending, answered, failed
    }

    let eventID: UUID
    let endpointID: UUID
    let profileID: ProfileID?
    let description: String
    let status: Status
    let at: Instant?

    var json: JSON {
        [
            "endpointId": .string(endpointID.uuidString.lowercased()), "description": .string(description),
            "profileId": profileID.map { .string($0.description) } ?? .null,
            "status": .string(status.rawValue), "at": at.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}

/// The SQL of recipients.
enum PrivacyRecipientStore {
    /// Notes whom identity tells. What one of them has answered may have come before.
    static func note(
        _ told: [JSON], of request: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws {
        for recipient in told {
            guard let event = recipient["eventId"]?.string.flatMap(UUID.init(uuidString:)),
                let endpoint = recipient["endpointId"]?.string.flatMap(UUID.init(uuidString:))
            else { continue }
            let profile = recipient["profileId"]?.string.flatMap { ProfileID($0) }
            let description = recipient["description"]?.string ?? ""
            try await transaction.execute(
                """
                INSERT INTO privacy_recipient AS r
                    (shard, request_id, event_id, endpoint_id, profile_id, description, status)
                VALUES (\(PrivacyRequestStore.shard(request)), \(request), \(event), \(endpoint), \(profile),
                    \(description), 'pending')
                ON CONFLICT (shard, request_id, event_id) DO UPDATE SET description = excluded.description
                """)
        }
    }

    /// Writes what came of telling one.
    static func settle(
        _ recipient: PrivacyRecipient, of request: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO privacy_recipient AS r
                (shard, request_id, event_id, endpoint_id, profile_id, description, status, at)
            VALUES (\(PrivacyRequestStore.shard(request)), \(request), \(recipient.eventID), \(recipient.endpointID),
                \(recipient.profileID), \(recipient.description), \(recipient.status.rawValue), \(recipient.at))
            ON CONFLICT (shard, request_id, event_id) DO UPDATE SET status = excluded.status, at = excluded.at
            WHERE r.at IS NULL OR r.at <= excluded.at
            """)
    }

    static func recipients(
        of request: PrivacyRequestID, in session: some PostgresSession
    ) async throws -> [PrivacyRecipient] {
        try await session.query(
            """
            SELECT event_id, endpoint_id, profile_id, description, status, at FROM privacy_recipient
            WHERE shard = \(PrivacyRequestStore.shard(request)) AND request_id = \(request) ORDER BY event_id
            """
        ).map { row in
            PrivacyRecipient(
                eventID: try row.get("event_id"), endpointID: try row.get("endpoint_id"),
                profileID: try row.get("profile_id", as: ProfileID?.self),
                description: try row.get("description"),
                status: PrivacyRecipient.Status(rawValue: try row.get("status", as: String.self)) ?? .pending,
                at: try row.get("at", as: Instant?.self))
        }
    }
}
