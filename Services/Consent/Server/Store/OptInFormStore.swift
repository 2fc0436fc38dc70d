import ConsentDomain
import Models
import Postgres

/// A form with its version, which is its ETag.
struct StoredOptInForm: Sendable {
    let id: String
    let version: Int64
    let form: OptInForm
    let createdAt: Instant
    let updatedAt: Instant

    var etag: String { "\"\(version)\"" }

    var json: JSON {
        var members = form.json.object ?? [:]
        members["id"] = .string(id)
        members["version"] = .integer(version)
        members["createdAt"] = .string(createdAt.rfc3339)
        members["updatedAt"] = .string(updatedAt.rfc3339)
        return .object(members)
    }

    /// What the ledger calls the words that people saw.
    var textVersion: String { "opt-in-form/\(id)/\(version)" }
}

/// The SQL of opt-in forms.
enum OptInFormStore {
    private static let columns = SQL(unsafe: "form_id, version, body, created_at, updated_at")

    static func get(_ id: String, in session: some PostgresSession) async throws -> StoredOptInForm? {
        try await session.query(
            "SELECT \(columns) FROM opt_in_form WHERE form_id = \(id) AND deleted_at IS NULL"
        ).first.map(stored)
    }

    static func page(
        after: String?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredOptInForm] {
        try await session.query(
            """
            SELECT \(columns) FROM opt_in_form WHERE form_id COLLATE "C" > \(after ?? "") AND deleted_at IS NULL
            ORDER BY form_id COLLATE "C" LIMIT \(Int64(limit))
            """
        ).map(stored)
    }

    /// Keeps others from changing the form until the transaction ends, and returns its version; nil where there is none.
    static func lockVersion(_ id: String, in transaction: PostgresTransaction) async throws -> Int64? {
        _ = try await transaction.query(
            "SELECT pg_advisory_xact_lock(hashtextextended(\("opt-in form " + id), 0))")
        return try await transaction.query(
            "SELECT version FROM opt_in_form WHERE form_id = \(id) AND deleted_at IS NULL"
        ).first?.get("version")
    }

    /// Creates or replaces, under `lockVersion`; the version moves on only when something changed.
    static func put(
        _ id: String, _ form: OptInForm, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> StoredOptInForm {
        let rows = try await transaction.query(
            """
            INSERT INTO opt_in_form AS f (\(columns)) VALUES (\(id), 1, \(form.json.compact), \(now), \(now))
            ON CONFLICT (form_id) DO UPDATE SET body = excluded.body, deleted_at = NULL,
                version = f.version + CASE WHEN f.body = excluded.body AND f.deleted_at IS NULL THEN 0 ELSE 1 END,
                created_at = CASE WHEN f.deleted_at IS NULL THEN f.created_at ELSE excluded.created_at END,
                updated_at = CASE WHEN f.body = excluded.body AND f.deleted_at IS NULL THEN f.updated_at
                    ELSE excluded.updated_at END
            RETURNING \(columns)
            """)
        guard let row = rows.first else {
            throw PostgresError.decoding(column: "form_id", message: "is missing")
        }
        return try stored(row)
    }

    /// Deletes it, under `lockVersion`. What was asked for by it can't be confirmed any more.
    static func delete(_ id: String, at now: Instant, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "UPDATE opt_in_form SET deleted_at = \(now), body = '{}' WHERE form_id = \(id)")
    }

    private static func stored(_ row: PostgresRow) throws -> StoredOptInForm {
        StoredOptInForm(
            id: try row.get("form_id"), version: try row.get("version"),
            form: try OptInForm(try JSONParser.parse(row.get("body", as: String.self))),
            createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }
}
