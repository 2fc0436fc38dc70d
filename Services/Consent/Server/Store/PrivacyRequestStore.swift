import ConsentDomain
import Models
import Postgres
import Sealing

/// A privacy request and where it stands.
struct StoredPrivacyRequest: Sendable {
    let request: PrivacyRequest
    let status: PrivacyResultStatus
    let completedAt: Instant?
}

/// What one service reported.
struct PrivacyResult: Sendable {
    let service: ServiceName
    let status: PrivacyResultStatus
    let result: JSON?
    let error: String?
    let reportedAt: Instant?
}

/// The SQL of privacy requests.
enum PrivacyRequestStore {
    private static let columns = SQL(
        unsafe: "request_id, type, profile_id, profile_ids, status, requested_at, completed_at")

    static func shard(_ id: PrivacyRequestID) -> Shard { Shard(hashing: id.description) }

    /// Records a request with a pending result of each service that has to report.
    static func create(
        _ request: PrivacyRequest, by caller: String, in transaction: PostgresTransaction
    ) async throws {
        let shard = shard(request.id)
        try await transaction.pipeline([
            """
            INSERT INTO privacy_request
                (shard, request_id, type, profile_id, profile_ids, status, requested_by, requested_at)
            VALUES (\(shard), \(request.id), \(request.type.rawValue), \(request.profileID), \(request.profileIDs)::uuid[],
                'pending', \(caller), \(request.requestedAt))
            """,
            """
            INSERT INTO privacy_result (shard, request_id, service, status)
            SELECT \(shard)::smallint, \(request.id)::uuid, service, 'pending'
            FROM unnest(\(PrivacyProgress.expected.map(\.rawValue))::text[]) AS service
            """,
        ])
    }

    static func get(
        _ id: PrivacyRequestID, in session: some PostgresSession
    ) async throws -> StoredPrivacyRequest? {
        try await session.query(
            "SELECT \(columns) FROM privacy_request WHERE shard = \(shard(id)) AND request_id = \(id)"
        ).first.map(stored)
    }

    /// Reads a request and locks it until the transaction ends.
    static func lock(
        _ id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest? {
        try await transaction.query(
            "SELECT \(columns) FROM privacy_request WHERE shard = \(shard(id)) AND request_id = \(id) FOR UPDATE"
        ).first.map(stored)
    }

    /// A page of requests, the newest first.
    static func page(
        status: PrivacyResultStatus?, before: PrivacyRequestID?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredPrivacyRequest] {
        try await session.query(
            """
            SELECT \(columns) FROM privacy_request
            WHERE (\(status?.rawValue)::text IS NULL OR status = \(status?.rawValue))
                AND (\(before)::uuid IS NULL OR request_id < \(before)::uuid)
            ORDER BY request_id DESC LIMIT \(Int64(limit))
            """
        ).map(stored)
    }

    static func results(
        of id: PrivacyRequestID, vault: Vault, in session: some PostgresSession
    ) async throws -> [PrivacyResult] {
        let rows = try await session.query(
            """
            SELECT service, status, result, error, reported_at FROM privacy_result
            WHERE shard = \(shard(id)) AND request_id = \(id) ORDER BY service
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

    private static func place(of id: PrivacyRequestID, _ service: ServiceName) -> String {
        "consent.privacy_result.result \(id) \(service.rawValue)"
    }

    /// Writes a service's report over what stood.
    static func report(
        _ result: PrivacyResult, of id: PrivacyRequestID, at now: Instant, vault: Vault,
        in transaction: PostgresTransaction
    ) async throws {
        let key = try await vault.days.key(at: now)
        let found = try result.result.map { try key.seal($0.compact, at: place(of: id, result.service)) }
        try await transaction.execute(
            """
            UPDATE privacy_result SET status = \(result.status.rawValue), result = \(found),
                error = \(result.error), reported_at = \(result.reportedAt)
            WHERE shard = \(shard(id)) AND request_id = \(id) AND service = \(result.service)
            """)
    }

    static func setStatus(
        _ status: PrivacyResultStatus, completedAt: Instant?, of id: PrivacyRequestID,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE privacy_request SET status = \(status.rawValue), completed_at = \(completedAt)
            WHERE shard = \(shard(id)) AND request_id = \(id)
            """)
    }

    /// Whether an erasure of any of the profiles was asked for: then nothing that was found may be kept.
    static func isErasureAsked(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> Bool {
        try await !transaction.query(
            """
            SELECT 1 AS found FROM privacy_request
            WHERE type = 'erasure' AND profile_ids && \(profiles)::uuid[] LIMIT 1
            """
        ).isEmpty
    }

    /// Drops what was found for requests of access; returns how many results it was.
    static func dropFindings(of profiles: [ProfileID], in transaction: PostgresTransaction) async throws
        -> Int
    {
        try await transaction.execute(
            """
            UPDATE privacy_result r SET result = NULL
            FROM privacy_request q
            WHERE q.type = 'access' AND q.profile_ids && \(profiles)::uuid[]
                AND r.shard = q.shard AND r.request_id = q.request_id AND r.result IS NOT NULL
            """)
    }

    /// The requests that any of the profiles was part of.
    static func requests(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [StoredPrivacyRequest] {
        try await transaction.query(
            """
            SELECT \(columns) FROM privacy_request WHERE profile_ids && \(profiles)::uuid[] ORDER BY request_id
            """
        ).map(stored)
    }

    private static func stored(_ row: PostgresRow) throws -> StoredPrivacyRequest {
        guard let type = PrivacyRequest.Kind(rawValue: try row.get("type", as: String.self)) else {
            throw PostgresError.decoding(column: "type", message: "is not a type of request")
        }
        return StoredPrivacyRequest(
            request: PrivacyRequest(
                id: try row.get("request_id"), type: type, profileID: try row.get("profile_id"),
                profileIDs: try row.get("profile_ids"), requestedAt: try row.get("requested_at")),
            status: try status(row), completedAt: try row.get("completed_at", as: Instant?.self))
    }

    private static func status(_ row: PostgresRow) throws -> PrivacyResultStatus {
        guard let status = PrivacyResultStatus(rawValue: try row.get("status", as: String.self)) else {
            throw PostgresError.decoding(column: "status", message: "is not a status")
        }
        return status
    }
}
