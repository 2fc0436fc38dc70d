import ConsentDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// The SQL of reports that come in parts.
enum PrivacyPartStore {
    /// Parts of one service in one request: 20 GB.
    static let most = 10_000

    private static func place(of id: PrivacyRequestID, _ service: ServiceName, _ part: Int) -> String {
        "consent.privacy_result_part.items \(id) \(service.rawValue) \(part)"
    }

    /// Keeps a part over what stood.
    static func put(
        _ part: Int, of service: ServiceName, for id: PrivacyRequestID, member: String, items: [JSON],
        at now: Instant, vault: Vault, in transaction: PostgresTransaction
    ) async throws {
        let sealed = try await vault.days.key(at: now).seal(
            JSON.array(items).compact, at: place(of: id, service, part))
        try await transaction.execute(
            """
            INSERT INTO privacy_result_part AS p (shard, request_id, service, part, member, items)
            VALUES (\(PrivacyRequestStore.shard(id)), \(id), \(service), \(part), \(member), \(sealed))
            ON CONFLICT (shard, request_id, service, part)
                DO UPDATE SET member = excluded.member, items = excluded.items
            """)
    }

    /// Whether all parts of a report are there; those of an earlier one that had more go.
    static func settle(
        _ count: Int, of service: ServiceName, for id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> Bool {
        try await transaction.execute(
            """
            DELETE FROM privacy_result_part WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id)
                AND service = \(service) AND part >= \(count)
            """)
        let there: Int =
            try await transaction.query(
                """
                SELECT count(*) AS n FROM privacy_result_part WHERE shard = \(PrivacyRequestStore.shard(id))
                    AND request_id = \(id) AND service = \(service)
                """
            ).first?.get("n") ?? 0
        return there == count
    }

    /// The parts of each list of each service.
    static func lists(
        of id: PrivacyRequestID, in session: some PostgresSession
    ) async throws -> [ServiceName: [String: [Int]]] {
        var lists: [ServiceName: [String: [Int]]] = [:]
        for row in try await session.query(
            """
            SELECT service, member, part FROM privacy_result_part
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) ORDER BY service, part
            """)
        {
            lists[try row.get("service"), default: [:]][try row.get("member"), default: []]
                .append(try row.get("part"))
        }
        return lists
    }

    /// The items of a part as the text of an array.
    static func items(
        _ part: Int, of service: ServiceName, for id: PrivacyRequestID, vault: Vault,
        in session: some PostgresSession
    ) async throws -> String {
        let row = try await session.query(
            """
            SELECT items FROM privacy_result_part WHERE shard = \(PrivacyRequestStore.shard(id))
                AND request_id = \(id) AND service = \(service) AND part = \(part)
            """
        ).first
        guard let row,
            let text = try await vault.days.open(
                try row.get("items", as: String.self), at: place(of: id, service, part))
        else { throw SubjectResolver.erased }
        return text
    }

    static func drop(
        _ requests: [PrivacyRequestID], in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            DELETE FROM privacy_result_part p
            USING unnest(\(requests.map { PrivacyRequestStore.shard($0) })::smallint[], \(requests)::uuid[]) AS q(shard, id)
            WHERE p.shard = q.shard AND p.request_id = q.id
            """)
    }

    static func drop(of profiles: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            DELETE FROM privacy_result_part p USING privacy_request q
            WHERE q.profile_ids && \(profiles)::uuid[] AND p.shard = q.shard AND p.request_id = q.request_id
            """)
    }
}
