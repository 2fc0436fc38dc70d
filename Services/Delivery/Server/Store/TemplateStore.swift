import DeliveryDomain
import Models
import Postgres
import Synchronization

/// A template as it is stored.
struct StoredTemplate: Sendable {
    var id: String
    var version: Int
    var subject: String
    var html: String
    var text: String
    var updatedAt: Instant

    init(_ row: PostgresRow) throws {
        id = try row.get("template_id")
        version = try row.get("version")
        subject = try row.get("subject")
        html = try row.get("html")
        text = try row.get("body_text")
        updatedAt = try row.get("updated_at")
    }

    var json: JSON {
        [
            "id": .string(id), "version": .integer(Int64(version)), "subject": .string(subject),
            "html": .string(html), "text": .string(text), "updatedAt": .string(updatedAt.rfc3339),
        ]
    }
}

final class TemplateStore: Sendable {
    private struct Parsed {
        var version: Int
        var template: MailTemplate
    }

    /// The latest version of each template, parsed once.
    private let cache = Mutex<[String: Parsed]>([:])

    private static let columns: SQL = "t.template_id, t.version, v.subject, v.html, v.body_text, t.updated_at"
    private static let tables: SQL = """
        delivery.template t JOIN delivery.template_version v
            ON v.template_id = t.template_id AND v.version = t.version
        """

    /// The templates with the ids, ready to be rendered.
    func parsed(
        _ ids: Set<String>, in transaction: PostgresTransaction
    ) async throws -> [String: (version: Int, template: MailTemplate)] {
        let versions = try await transaction.query(
            "SELECT template_id, version FROM delivery.template WHERE template_id = ANY(\(Array(ids))::text[])"
        )
        var result: [String: (version: Int, template: MailTemplate)] = [:]
        for row in versions {
            let (id, version) = (
                try row.get("template_id", as: String.self), try row.get("version", as: Int.self)
            )
            if let cached = cache.withLock({ $0[id] }), cached.version == version {
                result[id] = (version, cached.template)
            } else if let stored = try await find(id, in: transaction) {
                let template = try MailTemplate(subject: stored.subject, html: stored.html, text: stored.text)
                cache.withLock { $0[id] = Parsed(version: stored.version, template: template) }
                result[id] = (stored.version, template)
            }
        }
        return result
    }

    func find(_ id: String, in session: some PostgresSession) async throws -> StoredTemplate? {
        try await session.query("SELECT \(Self.columns) FROM \(Self.tables) WHERE t.template_id = \(id)")
            .first.map(StoredTemplate.init)
    }

    /// The version that is in force, locked until the transaction ends.
    func lockVersion(_ id: String, in transaction: PostgresTransaction) async throws -> Int? {
        // Two who write the same new template wait for each other here.
        try await transaction.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(\("template " + id), 0))")
        return try await transaction.query("SELECT version FROM delivery.template WHERE template_id = \(id)")
            .first?.get("version")
    }

    /// Writes a new version and returns its number.
    func put(
        _ id: String, subject: String, html: String, text: String, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Int {
        let row = try await transaction.query(
            """
            INSERT INTO delivery.template_version (template_id, version, subject, html, body_text, created_at)
            SELECT \(id), coalesce(max(version), 0) + 1, \(subject), \(html), \(text), \(now)::timestamptz
            FROM delivery.template_version WHERE template_id = \(id)
            RETURNING version
            """
        ).first
        let version = try row?.get("version", as: Int.self) ?? 1
        try await transaction.execute(
            """
            INSERT INTO delivery.template (template_id, version, updated_at) VALUES (\(id), \(version), \(now))
            ON CONFLICT (template_id) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at
            """)
        return version
    }

    /// Messages that name the template from now on aren't sent; its versions stay as evidence.
    func delete(_ id: String, in transaction: PostgresTransaction) async throws {
        try await transaction.execute("DELETE FROM delivery.template WHERE template_id = \(id)")
    }

    func page(after: String?, limit: Int, in session: some PostgresSession) async throws -> [StoredTemplate] {
        try await session.query(
            """
            SELECT \(Self.columns) FROM \(Self.tables) WHERE t.template_id > \(after ?? "")
            ORDER BY t.template_id LIMIT \(limit)
            """
        ).map(StoredTemplate.init)
    }
}
