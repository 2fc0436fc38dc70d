import Models
import Postgres

/// A source with its write keys, as lists show it.
struct StoredSource: Sendable {
    struct Key: Sendable {
        let id: WriteKeyID
        let hint: String
        let createdAt: Instant
        let revokedAt: Instant?
    }

    let id: SourceID
    let name: String
    let createdAt: Instant
    var keys: [Key]
}

enum WriteKeyTag {}
/// A write key in the database.
typealias WriteKeyID = TypedID<WriteKeyTag>

/// The SQL of sources and write keys.
struct SourceStore: Sendable {
    /// The source of what the installation's own services send; it is made by the migrations.
    static let installation: SourceID = {
        let text = "00000000-0000-7000-8000-000000000001"
        return SourceID(text) ?? SourceID(UUIDv7.derived(at: Instant(milliseconds: 0), from: text))
    }()

    let pool: PostgresPool

    func create(name: String, at now: Instant) async throws -> SourceID {
        let id = SourceID(UUIDv7.make(at: now))
        try await pool.execute(
            "INSERT INTO source (source_id, name, created_at) VALUES (\(id), \(name), \(now))")
        return id
    }

    func exists(_ id: SourceID) async throws -> Bool {
        try await !pool.query("SELECT FROM source WHERE source_id = \(id)").isEmpty
    }

    /// Adds a key; nil when there is no such source.
    func addKey(_ key: WriteKey, to source: SourceID, at now: Instant) async throws -> WriteKeyID? {
        let id = WriteKeyID(UUIDv7.make(at: now))
        let added = try await pool.execute(
            """
            INSERT INTO write_key (write_key_id, source_id, key_hash, hint, created_at)
            SELECT \(id)::uuid, source_id, \(key.hash)::bytea, \(key.hint)::text, \(now)::timestamptz
            FROM source WHERE source_id = \(source)
            """)
        return added == 1 ? id : nil
    }

    /// Revokes a key; false when the source has none of this id. Repeating it changes nothing.
    func revokeKey(_ id: WriteKeyID, of source: SourceID, at now: Instant) async throws -> Bool {
        try await pool.execute(
            """
            UPDATE write_key SET revoked_at = coalesce(revoked_at, \(now))
            WHERE write_key_id = \(id) AND source_id = \(source)
            """) == 1
    }

    func get(_ id: SourceID) async throws -> StoredSource? {
        try await read("WHERE s.source_id = \(id)", limit: 1).first
    }

    /// The sources after `after` in the order of their ids, which is that of their making.
    func list(after: SourceID?, limit: Int) async throws -> [StoredSource] {
        guard let after else { return try await read("", limit: limit) }
        return try await read("WHERE s.source_id > \(after)", limit: limit)
    }

    private func read(_ condition: SQL, limit: Int) async throws -> [StoredSource] {
        let rows = try await pool.query(
            """
            SELECT s.source_id, s.name, s.created_at, k.write_key_id, k.hint, k.created_at AS key_created_at,
                k.revoked_at
            FROM (SELECT * FROM source s \(condition) ORDER BY source_id LIMIT \(limit)) s
            LEFT JOIN write_key k ON k.source_id = s.source_id
            ORDER BY s.source_id, k.write_key_id
            """)
        var sources: [StoredSource] = []
        for row in rows {
            let id: SourceID = try row.get("source_id")
            if sources.last?.id != id {
                sources.append(
                    StoredSource(
                        id: id, name: try row.get("name"), createdAt: try row.get("created_at"), keys: []))
            }
            guard let keyID = try row.get("write_key_id", as: WriteKeyID?.self) else { continue }
            sources[sources.count - 1].keys.append(
                StoredSource.Key(
                    id: keyID, hint: try row.get("hint"), createdAt: try row.get("key_created_at"),
                    revokedAt: try row.get("revoked_at")))
        }
        return sources
    }
}
