import Models
import Postgres
import SegmentationDomain
import ServiceKit

enum TouchpointModelTag {}
typealias TouchpointModelID = TypedID<TouchpointModelTag>

/// A model as it is stored.
struct StoredTouchpointModel: Sendable {
    let id: TouchpointModelID
    let question: JSON
    let status: String
    let examined: Int64
    let wanted: Int64
    let result: JSON?
    let failure: String?
    let createdAt: Instant
    let finishedAt: Instant?

    var json: JSON {
        var members = question.object ?? [:]
        members.merge([
            "modelId": .string(id.description), "status": .string(status), "examined": .integer(examined),
            "toExamine": .integer(wanted), "createdAt": .string(createdAt.rfc3339),
            "finishedAt": finishedAt.map { .string($0.rfc3339) } ?? .null,
            "failure": failure.map { .string($0) } ?? .null, "result": result ?? .null,
        ]) { $1 }
        return .object(members)
    }
}

/// The SQL of models of touchpoints.
struct TouchpointModelStore {
    /// Announces that there is one to learn.
    static let channel = "segmentation_touchpoint_models"
    /// How long one may be left alone before another instance takes it as abandoned.
    private static let lease = "60 seconds"
    /// Beginnings after which one is given up: each of them ended with its instance.
    private static let mostAttempts = 3

    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    private static let columns: SQL = """
        model_id, question, status, examined, wanted, result, failure, created_at, finished_at
        """

    func insert(_ id: TouchpointModelID, _ question: TouchpointModelQuestion, at now: Instant) async throws {
        _ = try await session.query(
            """
            INSERT INTO touchpoint_model (model_id, question, status, wanted, created_at)
            VALUES (\(id), \(question.json), 'waiting', \(Int64(question.people)), \(now))
            """)
    }

    func get(_ id: TouchpointModelID) async throws -> StoredTouchpointModel? {
        try await session.query("SELECT \(Self.columns) FROM touchpoint_model WHERE model_id = \(id)").first
            .map(StoredTouchpointModel.init)
    }

    /// The models before `before`, the newest first.
    func list(before: TouchpointModelID?, limit: Int) async throws -> [StoredTouchpointModel] {
        let isFirst = before == nil
        return try await session.query(
            """
            SELECT \(Self.columns) FROM touchpoint_model
            WHERE \(isFirst)::boolean OR model_id < \(before)::uuid ORDER BY model_id DESC LIMIT \(Int64(limit))
            """
        ).map(StoredTouchpointModel.init)
    }

    func countOpen() async throws -> Int {
        try await session.query(
            "SELECT count(*) AS n FROM touchpoint_model WHERE status IN ('waiting', 'running')"
        ).first?.get("n", as: Int.self) ?? 0
    }

    /// The latest that has learned something about a conversion.
    func latest(about conversion: EventSelector) async throws -> StoredTouchpointModel? {
        try await session.query(
            """
            SELECT \(Self.columns) FROM touchpoint_model
            WHERE status = 'done' AND question->'conversion' = \(JSON.object(conversion.members))::jsonb
            ORDER BY finished_at DESC, model_id DESC LIMIT 1
            """
        ).first.map(StoredTouchpointModel.init)
    }

    func delete(_ id: TouchpointModelID) async throws -> Bool {
        try await !session.query(
            "DELETE FROM touchpoint_model WHERE model_id = \(id) RETURNING model_id"
        ).isEmpty
    }

    // MARK: Learning

    /// Takes one that nobody is at.
    func claim() async throws -> StoredTouchpointModel? {
        _ = try await session.query(
            """
            UPDATE touchpoint_model SET status = 'failed', leased_until = NULL, finished_at = now(),
                failure = 'it was begun \(unsafe: String(Self.mostAttempts)) times and never ended: ask about fewer people'
            WHERE status = 'running' AND leased_until < now() AND attempts >= \(Self.mostAttempts)
            """)
        return try await session.query(
            """
            UPDATE touchpoint_model SET status = 'running', attempts = attempts + 1, examined = 0,
                leased_until = now() + \(Self.lease)::interval
            WHERE model_id = (
                SELECT model_id FROM touchpoint_model
                WHERE status = 'waiting' OR status = 'running' AND leased_until < now()
                ORDER BY created_at, model_id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING \(Self.columns)
            """
        ).first.map(StoredTouchpointModel.init)
    }

    /// Notes how far it is, and keeps it; false when it is somebody else's by now, or deleted.
    func advance(_ id: TouchpointModelID, examined: Int) async throws -> Bool {
        try await !session.query(
            """
            UPDATE touchpoint_model SET examined = \(Int64(examined)), leased_until = now() + \(Self.lease)::interval
            WHERE model_id = \(id) AND status = 'running' AND leased_until > now() RETURNING model_id
            """
        ).isEmpty
    }

    func finish(_ id: TouchpointModelID, result: JSON?, failure: String?, at now: Instant) async throws {
        let status = result == nil ? "failed" : "done"
        _ = try await session.query(
            """
            UPDATE touchpoint_model SET status = \(status), result = \(result)::jsonb, failure = \(failure)::text,
                finished_at = \(now), leased_until = NULL
            WHERE model_id = \(id) AND status = 'running'
            """)
    }
}

extension StoredTouchpointModel {
    init(_ row: PostgresRow) throws {
        self.init(
            id: try row.get("model_id"), question: try row.get("question"), status: try row.get("status"),
            examined: try row.get("examined"), wanted: try row.get("wanted"),
            result: try row.get("result", as: JSON?.self), failure: try row.get("failure", as: String?.self),
            createdAt: try row.get("created_at"), finishedAt: try row.get("finished_at", as: Instant?.self))
    }
}
