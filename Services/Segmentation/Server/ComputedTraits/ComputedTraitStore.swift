import Models
import Postgres
import SegmentationDomain
import Streams

/// A computed trait as it is stored.
struct StoredComputedTrait: Sendable {
    let id: String
    let name: String
    let description: String
    let version: Int
    let definition: JSON
    let edition: Int64
    let createdAt: Instant
    let updatedAt: Instant
}

/// Reads and writes the definitions of computed traits.
struct ComputedTraitStore {
    /// The key of the advisory lock under which they are changed.
    private static let lock: Int64 = 0x5E67_7247

    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    private static let columns: SQL = """
        id, name, description, version, definition, edition, created_at, updated_at
        """

    /// Computed traits in order of their ids.
    func list(after id: String?, limit: Int) async throws -> [StoredComputedTrait] {
        try await session.query(
            """
            SELECT \(Self.columns) FROM computed_trait
            WHERE deleted_at IS NULL AND id > \(id ?? "") ORDER BY id LIMIT \(Int64(limit))
            """
        ).map(Self.trait)
    }

    func get(_ id: String) async throws -> StoredComputedTrait? {
        try await session.query(
            "SELECT \(Self.columns) FROM computed_trait WHERE id = \(id) AND deleted_at IS NULL"
        ).first.map(Self.trait)
    }

    /// Those that can be worked out, some of them or all, in order of their ids.
    func definitions(_ ids: [String]? = nil) async throws -> [(
        stored: StoredComputedTrait, trait: ComputedTrait
    )] {
        let rows = try await session.query(
            """
            SELECT \(Self.columns) FROM computed_trait
            WHERE deleted_at IS NULL AND (\(ids == nil)::boolean OR id = ANY(\(ids ?? [])::text[]))
            ORDER BY id LIMIT \(Int64(ComputedTraitLimits.definitions))
            """)
        let read = try rows.map { row -> (stored: StoredComputedTrait, trait: ComputedTrait) in
            let stored = try Self.trait(row)
            do { return (stored, try ComputedTrait(RuleField(stored.definition))) } catch let problem
                as RuleProblem
            {
                // A newer instance may have stored what this one cannot read.
                throw RetryLater(
                    "computed trait \(stored.id) cannot be read by this version, at `\(problem.path)`")
            }
        }
        let editions = try await PopulationModelStore(session).editions(
            of: Set(read.compactMap(\.trait.model)))
        return read.map { stored, trait in
            (stored, trait.model.flatMap { editions[$0] }.map { trait.by($0) } ?? trait)
        }
    }

    private static func trait(_ row: PostgresRow) throws -> StoredComputedTrait {
        StoredComputedTrait(
            id: try row.get("id"), name: try row.get("name"), description: try row.get("description"),
            version: try row.get("version"), definition: try row.get("definition"),
            edition: try row.get("edition"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }

    // MARK: Changing

    /// Keeps everybody else from changing them until the transaction ends.
    func lockAlone() async throws {
        _ = try await session.query("SELECT pg_advisory_xact_lock(\(Self.lock))")
    }

    func count() async throws -> Int {
        try await session.query("SELECT count(*) AS n FROM computed_trait WHERE deleted_at IS NULL").first?
            .get("n") ?? 0
    }

    /// Stores a definition; its version goes up if it is worked out in another way than before, and the edition if anything
    /// is new. Needs the lock.
    func store(id: String, name: String, description: String, definition: JSON, at now: Instant) async throws
    {
        _ = try await session.query(
            """
            INSERT INTO computed_trait AS t
                (id, name, description, version, definition, edition, created_at, updated_at)
            VALUES (\(id), \(name), \(description), 1, \(definition), 1, \(now), \(now))
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, definition = excluded.definition,
                version = t.version
                    + CASE WHEN t.deleted_at IS NULL AND t.definition = excluded.definition THEN 0 ELSE 1 END,
                edition = t.edition + 1, updated_at = excluded.updated_at, deleted_at = NULL,
                created_at = CASE WHEN t.deleted_at IS NULL THEN t.created_at ELSE excluded.created_at END
            WHERE t.deleted_at IS NOT NULL
                OR (t.name, t.description, t.definition)
                    IS DISTINCT FROM (excluded.name, excluded.description, excluded.definition)
            """)
    }

    func delete(_ id: String, at now: Instant) async throws {
        _ = try await session.query(
            """
            UPDATE computed_trait SET deleted_at = \(now), updated_at = \(now), edition = edition + 1
            WHERE id = \(id)
            """)
    }
}
