import IngestionDomain
import Models
import Postgres

/// A version of a source's tracking plan.
struct StoredPlan: Sendable {
    let version: Int
    /// Nil where the plan was taken away.
    let plan: TrackingPlan?
    let createdAt: Instant
}

/// The SQL of tracking plans.
extension SourceStore {
    /// A source with the version of its plan.
    struct Found: Sendable {
        let id: SourceID
        let treatment: SourceTreatment
        let planVersion: Int?
    }

    private static let found = SQL(
        unsafe: """
            SELECT s.source_id, s.ip, s.vocabulary,
                (SELECT max(version) FROM tracking_plan p WHERE p.source_id = s.source_id) AS plan
            FROM source s
            """)

    func source(ofKeyHash hash: [UInt8]) async throws -> Found? {
        try await pool.query(
            """
            \(Self.found) JOIN write_key k ON k.source_id = s.source_id
            WHERE k.key_hash = \(hash) AND k.revoked_at IS NULL
            """
        ).first.map(Found.init)
    }

    func source(_ id: SourceID) async throws -> Found? {
        try await pool.query("\(Self.found) WHERE s.source_id = \(id)").first.map(Found.init)
    }

    /// One version of a plan, or the latest.
    func plan(of source: SourceID, version: Int? = nil) async throws -> StoredPlan? {
        try await pool.query(
            """
            SELECT version, document, created_at FROM tracking_plan
            WHERE source_id = \(source) AND (\(version)::integer IS NULL OR version = \(version)::integer)
            ORDER BY version DESC LIMIT 1
            """
        ).first.map(StoredPlan.init)
    }

    /// The version in force, locked until the transaction ends; 0 where there never was a plan.
    func lockPlanVersion(of source: SourceID, in transaction: PostgresTransaction) async throws -> Int? {
        guard
            try await !transaction.query("SELECT FROM source WHERE source_id = \(source) FOR UPDATE").isEmpty
        else { return nil }
        return try await transaction.query(
            "SELECT coalesce(max(version), 0) AS version FROM tracking_plan WHERE source_id = \(source)"
        ).first?.get("version")
    }

    func putPlan(
        _ plan: TrackingPlan?, version: Int, of source: SourceID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO tracking_plan (source_id, version, document, created_at)
            VALUES (\(source), \(version), \(plan?.json.compact), \(now))
            """)
    }

    /// Sets what is done to the events of a source; false when there is no such source.
    func setTreatment(_ treatment: SourceTreatment, of source: SourceID) async throws -> Bool {
        try await pool.execute(
            """
            UPDATE source SET ip = \(treatment.ip.rawValue), vocabulary = \(treatment.vocabulary)
            WHERE source_id = \(source)
            """) == 1
    }
}

extension SourceStore.Found {
    fileprivate init(_ row: PostgresRow) throws {
        id = try row.get("source_id")
        treatment = SourceTreatment(
            ip: SourceTreatment.IP(rawValue: try row.get("ip")) ?? .truncate,
            vocabulary: try row.get("vocabulary"))
        planVersion = try row.get("plan", as: Int?.self)
    }
}

extension StoredPlan {
    fileprivate init(_ row: PostgresRow) throws {
        version = try row.get("version")
        createdAt = try row.get("created_at")
        plan = try row.get("document", as: JSON?.self).map { try TrackingPlan(json: $0) }
    }
}
