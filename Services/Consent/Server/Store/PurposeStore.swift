import ConsentDomain
import Models
import Postgres

/// A purpose with its version, which is its ETag.
struct StoredPurpose: Sendable {
    let purpose: Purpose
    let version: Int64
    let createdAt: Instant
    let updatedAt: Instant
}

/// The SQL of the purposes.
enum PurposeStore {
    private static let columns = SQL(
        unsafe: "purpose, name, legal_basis, text_version, version, created_at, updated_at")

    static func get(_ id: String, in session: some PostgresSession) async throws -> StoredPurpose? {
        try await session.query("SELECT \(columns) FROM profiles.purpose WHERE purpose = \(id)").first.map(
            stored)
    }

    static func list(in session: some PostgresSession) async throws -> [StoredPurpose] {
        try await session.query("SELECT \(columns) FROM profiles.purpose ORDER BY purpose COLLATE \"C\"").map(
            stored)
    }

    static func page(
        after: String?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredPurpose] {
        try await session.query(
            """
            SELECT \(columns) FROM profiles.purpose
            WHERE purpose COLLATE "C" > \(after ?? "") ORDER BY purpose COLLATE "C" LIMIT \(Int64(limit))
            """
        ).map(stored)
    }

    /// Locks the purpose's row until the transaction ends and returns its version; nil when there is none.
    static func lockVersion(_ id: String, in transaction: PostgresTransaction) async throws -> Int64? {
        try await transaction.query("SELECT version FROM profiles.purpose WHERE purpose = \(id) FOR UPDATE")
            .first?.get("version")
    }

    /// Creates or replaces; the version moves on only when something changed.
    static func put(
        _ purpose: Purpose, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> StoredPurpose {
        let rows = try await transaction.query(
            """
            INSERT INTO profiles.purpose AS p (purpose, name, legal_basis, text_version, created_at, updated_at)
            VALUES (\(purpose.id), \(purpose.name), \(purpose.legalBasis.rawValue), \(purpose.textVersion), \(now),
                \(now))
            ON CONFLICT (purpose) DO UPDATE
            SET name = excluded.name, legal_basis = excluded.legal_basis, text_version = excluded.text_version,
                version = p.version + CASE WHEN (p.name, p.legal_basis, p.text_version)
                    IS DISTINCT FROM (excluded.name, excluded.legal_basis, excluded.text_version)
                    THEN 1 ELSE 0 END,
                updated_at = CASE WHEN (p.name, p.legal_basis, p.text_version)
                    IS DISTINCT FROM (excluded.name, excluded.legal_basis, excluded.text_version)
                    THEN excluded.updated_at ELSE p.updated_at END
            RETURNING \(columns)
            """)
        guard let row = rows.first else {
            throw PostgresError.decoding(column: "purpose", message: "is missing")
        }
        return try stored(row)
    }

    private static func stored(_ row: PostgresRow) throws -> StoredPurpose {
        guard let basis = LegalBasis(rawValue: try row.get("legal_basis", as: String.self)) else {
            throw PostgresError.decoding(column: "legal_basis", message: "is not a legal basis")
        }
        return StoredPurpose(
            purpose: Purpose(
                id: try row.get("purpose"), name: try row.get("name"), legalBasis: basis,
                textVersion: try row.get("text_version")),
            version: try row.get("version"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }
}
