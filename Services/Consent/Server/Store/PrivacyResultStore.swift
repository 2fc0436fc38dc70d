import ConsentDomain
import Models
import Postgres
import Sealing

/// What one service reported.
struct PrivacyResult: Sendable {
    let service: ServiceName
    let status: PrivacyResultStatus
    let result: JSON?
    let error: String?
    let reportedAt: Instant?
    /// How many parts were reported before.
    var parts = 0
}

/// The SQL of what services report.
enum PrivacyResultStore {
    /// Expects a report of each service that holds personal data.
    static func expect(
        _ requests: [PrivacyRequestID], in transaction: PostgresTransaction
    ) async throws {
        guard !requests.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO privacy_result (shard, request_id, service, status)
            SELECT r.shard, r.id, s.service, 'pending'
            FROM unnest(\(requests.map { PrivacyRequestStore.shard($0) })::smallint[], \(requests)::uuid[])
                    AS r(shard, id),
                unnest(\(PrivacyProgress.expected.map(\.rawValue))::text[]) AS s(service)
            """)
    }

    /// Expects a report once more of these services.
    static func expectAgain(
        _ services: [ServiceName], of id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE privacy_result SET status = 'pending', error = NULL
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id)
                AND service = ANY(\(services.map(\.rawValue))::text[])
            """)
    }

    static func results(
        of id: PrivacyRequestID, vault: Vault, in session: some PostgresSession
    ) async throws -> [PrivacyResult] {
        let rows = try await session.query(
            """
            SELECT service, status, result, error, reported_at FROM privacy_result
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) ORDER BY service
            """
        )
        var results: [PrivacyResult] = []
        for row in rows {
            let service: ServiceName = try row.get("service")
            // What was found is everything that there is about somebody.
            let result = try row.get("result", as: String?.self)
            results.append(
                PrivacyResult(
                    service: service, status: try status(row),
                    result: result == nil
                        ? nil
                        : try await vault.days.openJSON(result ?? "null", at: place(of: id, service)),
                    error: try row.get("error", as: String?.self),
                    reportedAt: try row.get("reported_at", as: Instant?.self)))
        }
        return results
    }

    /// Where each service stands.
    static func statuses(
        of id: PrivacyRequestID, in session: some PostgresSession
    ) async throws -> [(service: ServiceName, status: PrivacyResultStatus)] {
        try await session.query(
            """
            SELECT service, status FROM privacy_result
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) ORDER BY service
            """
        ).map { (try $0.get("service"), try status($0)) }
    }

    private static func place(of id: PrivacyRequestID, _ service: ServiceName) -> String {
        "consent.privacy_result.result \(id) \(service.rawValue)"
    }

    /// Writes a service's report over what stood.
    static func report(
        _ result: PrivacyResult, of id: PrivacyRequestID, isErasure: Bool, at now: Instant, vault: Vault,
        in transaction: PostgresTransaction
    ) async throws {
        let key = try await vault.days.key(at: now)
        let found = try result.result.map { try key.seal($0.compact, at: place(of: id, result.service)) }
        let lists = result.parts == 0 ? [:] : try await PrivacyPartStore.lists(of: id, in: transaction)
        let digest = try await FoundReport(
            id: id, service: result.service, result: result.result ?? .null,
            lists: lists[result.service] ?? [:], vault: vault
        ).digest(in: transaction)
        // Of what was found for somebody no number is kept beside it: how much it is says something of them.
        let counts = isErasure ? PrivacyReceipt.counts(of: result.result ?? .null) : [:]
        try await transaction.execute(
            """
            UPDATE privacy_result SET status = \(result.status.rawValue), result = \(found),
                error = \(result.error), reported_at = \(result.reportedAt), digest = \(digest),
                counts = \(JSON.object(counts.mapValues(JSON.integer)).compact)
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) AND service = \(result.service)
            """)
    }

    /// What stands in the receipt of a request. Of what was reported before hashes were kept it is worked out anew from
    /// what was reported; where that is gone, or was under a key that is, the store stands there with what is known.
    static func stores(
        of id: PrivacyRequestID, isErasure: Bool, vault: Vault, in session: some PostgresSession
    ) async throws -> [PrivacyReceipt.Store] {
        let rows = try await session.query(
            """
            SELECT service, reported_at, digest, counts, CASE WHEN digest IS NULL THEN result END AS result
            FROM privacy_result
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) ORDER BY service
            """)
        var stores: [PrivacyReceipt.Store] = []
        for row in rows {
            let service: ServiceName = try row.get("service")
            var digest = try row.get("digest", as: [UInt8]?.self)
            var counts = try JSONParser.parse(try row.get("counts", as: String?.self) ?? "{}")
            if let sealed = try row.get("result", as: String?.self) {
                let report = try await vault.days.openJSON(sealed, at: place(of: id, service))
                // Null where the key of the day was destroyed.
                if !report.isNull {
                    digest = LedgerStore.sha256(Array(report.compact.utf8))
                    if isErasure { counts = report }
                }
            }
            stores.append(
                PrivacyReceipt.Store(
                    service: service, reportedAt: try row.get("reported_at", as: Instant?.self),
                    counts: PrivacyReceipt.counts(of: counts), digest: digest))
        }
        return stores
    }

    /// Drops what was found for requests that show somebody what is known; returns how many results it was.
    static func dropFindings(of profiles: [ProfileID], in transaction: PostgresTransaction) async throws
        -> Int
    {
        try await PrivacyPartStore.drop(of: profiles, in: transaction)
        return try await transaction.execute(
            """
            UPDATE privacy_result r SET result = NULL
            FROM privacy_request q
            WHERE q.type IN ('access', 'portability', 'know') AND q.profile_ids && \(profiles)::uuid[]
                AND r.shard = q.shard AND r.request_id = q.request_id AND r.result IS NOT NULL
            """)
    }

    /// Drops what was found for requests that came to nothing.
    static func dropFindings(
        for requests: [PrivacyRequestID], in transaction: PostgresTransaction
    ) async throws {
        guard !requests.isEmpty else { return }
        try await PrivacyPartStore.drop(requests, in: transaction)
        try await transaction.execute(
            """
            UPDATE privacy_result r SET result = NULL
            FROM unnest(\(requests.map { PrivacyRequestStore.shard($0) })::smallint[], \(requests)::uuid[]) AS q(shard, id)
            WHERE r.shard = q.shard AND r.request_id = q.id AND r.result IS NOT NULL
            """)
    }

    private static func status(_ row: PostgresRow) throws -> PrivacyResultStatus {
        guard let status = PrivacyResultStatus(rawValue: try row.get("status", as: String.self)) else {
            throw PostgresError.decoding(column: "status", message: "is not a status")
        }
        return status
    }
}
