import ConsentDomain
import Models
import Postgres
import Sealing

/// A privacy request and where it stands.
struct StoredPrivacyRequest: Sendable {
    let id: PrivacyRequestID
    /// The canonical profile when the request was made, and from when it was begun that of then.
    var profileID: ProfileID
    /// Everything merged into it, and itself.
    var profileIDs: [ProfileID]
    var lifecycle: PrivacyRequestLifecycle
    /// What the services have come to.
    var status: PrivacyResultStatus = .pending
    /// When the last of them reported.
    var completedAt: Instant?
    var requestedBy: String
    var assignee: String?
    var reference: String?
    /// What it is about beside the person, sealed.
    var detail: String?

    var kind: PrivacyRequestKind { lifecycle.kind }

    /// Where the detail is sealed.
    var detailPlace: String { "consent.privacy_request.detail \(id)" }
}

/// The SQL of privacy requests.
enum PrivacyRequestStore {
    private static let columns = SQL(
        unsafe: """
            q.request_id, q.type, q.profile_id, q.profile_ids, q.status, q.requested_by, q.requested_at, q.completed_at,
            q.regime, q.state, q.reason, q.verified_at, q.extended_at, q.ended_at, q.assignee, q.reference, q.detail
            """)
    private static let open = SQL(unsafe: "q.state IN ('received', 'verifying', 'inProgress')")

    static func shard(_ id: PrivacyRequestID) -> Shard { Shard(hashing: id.description) }

    /// Records requests.
    static func create(_ requests: [StoredPrivacyRequest], in transaction: PostgresTransaction) async throws {
        guard !requests.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO privacy_request (shard, request_id, type, profile_id, profile_ids, status, requested_by,
                requested_at, completed_at, regime, state, reason, verified_at, extended_at, ended_at, due_at, assignee,
                reference, detail)
            SELECT r.shard, r.id, r.type, r.profile_id, r.profile_ids::uuid[], r.status, r.by, r.at, r.completed_at,
                r.regime, r.state, r.reason, r.verified_at, NULL, r.ended_at, r.due_at, r.assignee, r.reference, r.detail
            FROM unnest(\(requests.map { shard($0.id) })::smallint[], \(requests.map(\.id))::uuid[],
                \(requests.map(\.kind.rawValue))::text[], \(requests.map(\.profileID))::uuid[],
                \(requests.map { literal($0.profileIDs) })::text[], \(requests.map(\.status.rawValue))::text[],
                \(requests.map(\.requestedBy))::text[], \(requests.map(\.lifecycle.receivedAt))::timestamptz[],
                \(requests.map(\.completedAt))::timestamptz[], \(requests.map(\.lifecycle.regime.rawValue))::text[],
                \(requests.map(\.lifecycle.state.rawValue))::text[],
                \(requests.map(\.lifecycle.verifiedAt))::timestamptz[],
                \(requests.map(\.lifecycle.endedAt))::timestamptz[], \(requests.map(\.lifecycle.dueAt))::timestamptz[],
                \(requests.map(\.assignee))::text[], \(requests.map(\.reference))::text[],
                \(requests.map(\.detail))::text[], \(requests.map(\.lifecycle.reason))::text[])
                AS r(shard, id, type, profile_id, profile_ids, status, by, at, completed_at, regime, state, verified_at,
                    ended_at, due_at, assignee, reference, detail, reason)
            """)
    }

    /// An array of UUIDs as text, since arrays of arrays have to be of one length.
    private static func literal(_ profiles: [ProfileID]) -> String {
        "{" + profiles.map(\.description).joined(separator: ",") + "}"
    }

    /// Writes where a request stands now.
    static func update(_ request: StoredPrivacyRequest, in transaction: PostgresTransaction) async throws {
        let lifecycle = request.lifecycle
        try await transaction.execute(
            """
            UPDATE privacy_request SET state = \(lifecycle.state.rawValue), reason = \(lifecycle.reason),
                verified_at = \(lifecycle.verifiedAt), extended_at = \(lifecycle.extendedAt),
                ended_at = \(lifecycle.endedAt), due_at = \(lifecycle.dueAt), status = \(request.status.rawValue),
                completed_at = \(request.completedAt), assignee = \(request.assignee), detail = \(request.detail),
                profile_id = \(request.profileID), profile_ids = \(request.profileIDs)::uuid[]
            WHERE shard = \(shard(request.id)) AND request_id = \(request.id)
            """)
    }

    static func get(
        _ id: PrivacyRequestID, in session: some PostgresSession
    ) async throws -> StoredPrivacyRequest? {
        try await session.query(
            "SELECT \(columns) FROM privacy_request q WHERE q.shard = \(shard(id)) AND q.request_id = \(id)"
        ).first.map(stored)
    }

    /// Reads a request and locks it until the transaction ends.
    static func lock(
        _ id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest? {
        try await transaction.query(
            """
            SELECT \(columns) FROM privacy_request q
            WHERE q.shard = \(shard(id)) AND q.request_id = \(id) FOR UPDATE
            """
        ).first.map(stored)
    }

    /// What a list of requests is to hold.
    struct Filter: Sendable {
        var status: PrivacyResultStatus?
        /// None for every state.
        var states: [PrivacyRequestLifecycle.State] = []
        var kind: PrivacyRequestKind?
        var assignee: String?
        var dueBefore: Instant?
    }

    /// A page of requests, those that are due first before the others.
    static func page(
        _ filter: Filter, after: (dueAt: Instant, id: PrivacyRequestID)?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [StoredPrivacyRequest] {
        let states = filter.states.map(\.rawValue)
        return try await session.query(
            """
            SELECT \(columns) FROM privacy_request q
            WHERE (\(filter.status?.rawValue)::text IS NULL OR q.status = \(filter.status?.rawValue))
                AND (cardinality(\(states)::text[]) = 0 OR q.state = ANY(\(states)::text[]))
                AND (\(filter.kind?.rawValue)::text IS NULL OR q.type = \(filter.kind?.rawValue))
                AND (\(filter.assignee)::text IS NULL OR q.assignee = \(filter.assignee))
                AND (\(filter.dueBefore)::timestamptz IS NULL OR q.due_at < \(filter.dueBefore)::timestamptz)
                AND (\(after?.id)::uuid IS NULL OR (q.due_at, q.request_id)
                    > (\(after?.dueAt)::timestamptz, \(after?.id)::uuid))
            ORDER BY q.due_at, q.request_id LIMIT \(Int64(limit))
            """
        ).map(stored)
    }

    /// The profiles among these that are being erased or were: then nothing that was found may be kept.
    static func erasing(
        _ profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> Set<ProfileID> {
        let rows = try await transaction.query(
            """
            SELECT DISTINCT p.id FROM privacy_request q JOIN unnest(\(profiles)::uuid[]) AS p(id)
                ON p.id = ANY(q.profile_ids)
            WHERE q.profile_ids && \(profiles)::uuid[] AND q.type IN ('erasure', 'delete')
                AND q.state IN ('inProgress', 'completed')
            """)
        return Set(try rows.map { try $0.get("id") })
    }

    /// Locks the open requests of the profiles, in the order of their ids.
    static func lockOpen(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [StoredPrivacyRequest] {
        guard !profiles.isEmpty else { return [] }
        return try await transaction.query(
            """
            SELECT \(columns) FROM privacy_request q
            WHERE q.profile_ids && \(profiles)::uuid[] AND \(open) ORDER BY q.request_id FOR UPDATE
            """
        ).map(stored)
    }

    /// The requests that any of the profiles was part of.
    static func requests(
        of profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> [StoredPrivacyRequest] {
        try await session.query(
            """
            SELECT \(columns) FROM privacy_request q WHERE q.profile_ids && \(profiles)::uuid[] ORDER BY q.request_id
            """
        ).map(stored)
    }

    /// The requests that a caller has made under names of its own, which are locked until the transaction ends.
    static func lock(
        references: [String], of caller: String, in transaction: PostgresTransaction
    ) async throws -> [String: StoredPrivacyRequest] {
        guard !references.isEmpty else { return [:] }
        let locks = Set(
            references.map { Int64(bitPattern: StableHash.hash64("privacy reference", caller, $0)) }
        ).sorted()
        _ = try await transaction.query(
            """
            SELECT count(pg_advisory_xact_lock(w.key)) FROM (
                SELECT key FROM unnest(\(locks)::bigint[]) AS u(key) ORDER BY key
            ) w
            """)
        let rows = try await transaction.query(
            """
            SELECT \(columns) FROM privacy_request q
            WHERE q.requested_by = \(caller) AND q.reference = ANY(\(references)::text[])
            """)
        return Dictionary(
            try rows.map(stored).map { ($0.reference ?? "", $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Notes by which call a request was made.
    static func note(
        call mark: String, of id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE privacy_request SET call_mark = \(mark) WHERE shard = \(shard(id)) AND request_id = \(id)
            """)
    }

    /// The request that was made by a call.
    static func made(
        by mark: String, in session: some PostgresSession
    ) async throws -> StoredPrivacyRequest? {
        try await session.query("SELECT \(columns) FROM privacy_request q WHERE q.call_mark = \(mark)")
            .first.map(stored)
    }

    /// Forgets what was noted about the person, and what was to be put right.
    static func dropDetails(of profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int
    {
        try await transaction.execute(
            """
            UPDATE privacy_step s SET detail = NULL FROM privacy_request q
            WHERE q.profile_ids && \(profiles)::uuid[] AND s.shard = q.shard AND s.request_id = q.request_id
                AND s.detail IS NOT NULL
            """)
            + transaction.execute(
                """
                UPDATE privacy_request q SET detail = NULL
                WHERE q.profile_ids && \(profiles)::uuid[] AND q.detail IS NOT NULL
                """)
    }

    private static func stored(_ row: PostgresRow) throws -> StoredPrivacyRequest {
        guard let kind = PrivacyRequestKind(rawValue: try row.get("type", as: String.self)) else {
            throw PostgresError.decoding(column: "type", message: "is not a type of request")
        }
        guard let regime = PrivacyRegime(rawValue: try row.get("regime", as: String.self)),
            let state = PrivacyRequestLifecycle.State(rawValue: try row.get("state", as: String.self)),
            let status = PrivacyResultStatus(rawValue: try row.get("status", as: String.self))
        else { throw PostgresError.decoding(column: "state", message: "is not one of a request") }
        return StoredPrivacyRequest(
            id: try row.get("request_id"), profileID: try row.get("profile_id"),
            profileIDs: try row.get("profile_ids"),
            lifecycle: PrivacyRequestLifecycle(
                kind: kind, regime: regime, receivedAt: try row.get("requested_at"), state: state,
                reason: try row.get("reason", as: String?.self),
                verifiedAt: try row.get("verified_at", as: Instant?.self),
                extendedAt: try row.get("extended_at", as: Instant?.self),
                endedAt: try row.get("ended_at", as: Instant?.self)),
            status: status, completedAt: try row.get("completed_at", as: Instant?.self),
            requestedBy: try row.get("requested_by"), assignee: try row.get("assignee", as: String?.self),
            reference: try row.get("reference", as: String?.self),
            detail: try row.get("detail", as: String?.self))
    }
}
