import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Streams

enum PopulationModelTag {}
typealias PopulationModelID = TypedID<PopulationModelTag>

/// An edition of a model, or one that is to be.
struct StoredPopulationModel: Sendable {
    let id: PopulationModelID
    let kind: PopulationModelKind
    let name: String
    /// What counts as an order, or what is measured.
    let orders: JSON
    let status: String
    let examined: Int64
    /// Those of them whose state does not read, and who were not compared.
    let leftOut: Int64
    let edition: JSON?
    let segments: JSON?
    let failure: String?
    let createdAt: Instant
    let finishedAt: Instant?

    var json: JSON {
        var members = orders.object ?? [:]
        if kind == .percentile { members = ["measure": orders] }
        var own: [String: JSON] = [
            "modelId": .string(id.description), "model": .string(name), "status": .string(status),
            "examined": .integer(examined), "leftOut": .integer(leftOut), "edition": edition ?? .null,
            "segments": segments ?? .null,
            "failure": failure.map { .string($0) } ?? .null, "createdAt": .string(createdAt.rfc3339),
            "finishedAt": finishedAt.map { .string($0.rfc3339) } ?? .null,
        ]
        if kind == .percentile { own["segments"] = nil }
        members.merge(own) { $1 }
        return .object(members)
    }
}

/// The SQL of models of a population: of recency, frequency and monetary value, and of percentiles.
struct PopulationModelStore {
    /// Announces that there is one to make.
    static let channel = "segmentation_rfm_models"
    /// How long one may be left alone before another instance takes it as abandoned.
    private static let lease = "60 seconds"
    /// Beginnings after which one is given up: each of them ended with its instance.
    private static let mostAttempts = 3

    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    private static let columns: SQL = """
        model_id, kind, name, orders, status, examined, left_out, edition, segments, failure, created_at, finished_at
        """

    func insert(
        _ id: PopulationModelID, _ kind: PopulationModelKind, name: String, orders: JSON, at now: Instant
    ) async throws {
        _ = try await session.query(
            """
            INSERT INTO rfm_model (model_id, kind, name, orders, status, created_at)
            VALUES (\(id), \(kind.rawValue), \(name), \(orders), 'waiting', \(now))
            """)
    }

    func get(
        _ id: PopulationModelID, _ kind: PopulationModelKind
    ) async throws -> StoredPopulationModel? {
        try await session.query(
            "SELECT \(Self.columns) FROM rfm_model WHERE model_id = \(id) AND kind = \(kind.rawValue)"
        ).first.map(StoredPopulationModel.init)
    }

    /// The models before `before`, the newest first.
    func list(_ kind: PopulationModelKind, before: PopulationModelID?, limit: Int) async throws
        -> [StoredPopulationModel]
    {
        let isFirst = before == nil
        return try await session.query(
            """
            SELECT \(Self.columns) FROM rfm_model
            WHERE kind = \(kind.rawValue) AND (\(isFirst)::boolean OR model_id < \(before)::uuid)
            ORDER BY model_id DESC LIMIT \(Int64(limit))
            """
        ).map(StoredPopulationModel.init)
    }

    func countOpen() async throws -> Int {
        try await session.query(
            "SELECT count(*) AS n FROM rfm_model WHERE status IN ('waiting', 'running')"
        ).first?.get("n", as: Int.self) ?? 0
    }

    func delete(_ id: PopulationModelID) async throws {
        _ = try await session.query("DELETE FROM rfm_model WHERE model_id = \(id)")
    }

    /// The editions in force of models, as they are written: the latest of each.
    func latest(_ kind: PopulationModelKind, of models: Set<String>) async throws -> [String: JSON] {
        guard !models.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT DISTINCT ON (name) name, edition FROM rfm_model
            WHERE kind = \(kind.rawValue) AND status = 'done' AND name = ANY(\(models.sorted())::text[])
            ORDER BY name, number DESC
            """)
        return Dictionary(
            try rows.map { (try $0.get("name"), try $0.get("edition", as: JSON.self)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Those of recency, frequency and monetary value.
    func editions(of models: Set<String>) async throws -> [String: RFMEdition] {
        var editions: [String: RFMEdition] = [:]
        for (name, json) in try await latest(.rfm, of: models) {
            do { editions[name] = try RFMEdition(RuleField(json)) } catch {
                // A newer instance may have stored what this one cannot read.
                throw RetryLater(
                    "the edition of RFM model \(name) cannot be read by this version, at `\(error.path)`")
            }
        }
        return editions
    }

    // MARK: Making editions

    /// Takes one that nobody is at.
    func claim() async throws -> StoredPopulationModel? {
        _ = try await session.query(
            """
            UPDATE rfm_model SET status = 'failed', leased_until = NULL, finished_at = now(),
                failure = 'it was begun \(unsafe: String(Self.mostAttempts)) times and never ended'
            WHERE status = 'running' AND leased_until < now() AND attempts >= \(Self.mostAttempts)
            """)
        return try await session.query(
            """
            UPDATE rfm_model SET status = 'running', attempts = attempts + 1, examined = 0, left_out = 0,
                leased_until = now() + \(Self.lease)::interval
            WHERE model_id = (
                SELECT model_id FROM rfm_model
                WHERE status = 'waiting' OR status = 'running' AND leased_until < now()
                ORDER BY created_at, model_id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING \(Self.columns)
            """
        ).first.map(StoredPopulationModel.init)
    }

    /// Notes how far it is, and keeps it; false when it is somebody else's by now, or deleted.
    func advance(_ id: PopulationModelID, examined: Int, leftOut: Int) async throws -> Bool {
        try await !session.query(
            """
            UPDATE rfm_model SET examined = \(Int64(examined)), left_out = \(Int64(leftOut)),
                leased_until = now() + \(Self.lease)::interval
            WHERE model_id = \(id) AND status = 'running' AND leased_until > now() RETURNING model_id
            """
        ).isEmpty
    }

    /// The number of a model's next edition. Needs the lock of the set of rules.
    func nextNumber(_ kind: PopulationModelKind, of name: String) async throws -> Int {
        try await session.query(
            """
            SELECT coalesce(max(number), 0) + 1 AS number FROM rfm_model
            WHERE kind = \(kind.rawValue) AND name = \(name)
            """
        ).first?.get("number") ?? 1
    }

    func finish(
        _ id: PopulationModelID, _ edition: PopulationEdition, _ segments: JSON, at now: Instant
    ) async throws {
        _ = try await session.query(
            """
            UPDATE rfm_model SET status = 'done', number = \(edition.number), edition = \(edition.json),
                segments = \(segments), finished_at = \(now), leased_until = NULL
            WHERE model_id = \(id)
            """)
    }

    func fail(_ id: PopulationModelID, because failure: String, at now: Instant) async throws {
        _ = try await session.query(
            """
            UPDATE rfm_model SET status = 'failed', failure = \(failure), finished_at = \(now), leased_until = NULL
            WHERE model_id = \(id) AND status = 'running'
            """)
    }
}

extension StoredPopulationModel {
    init(_ row: PostgresRow) throws {
        self.init(
            id: try row.get("model_id"), kind: try Self.kind(row), name: try row.get("name"),
            orders: try row.get("orders"),
            status: try row.get("status"), examined: try row.get("examined"),
            leftOut: try row.get("left_out"),
            edition: try row.get("edition", as: JSON?.self),
            segments: try row.get("segments", as: JSON?.self),
            failure: try row.get("failure", as: String?.self), createdAt: try row.get("created_at"),
            finishedAt: try row.get("finished_at", as: Instant?.self))
    }

    private static func kind(_ row: PostgresRow) throws -> PopulationModelKind {
        guard let kind = PopulationModelKind(rawValue: try row.get("kind")) else {
            throw RetryLater("a model of a population cannot be read by this version")
        }
        return kind
    }
}
