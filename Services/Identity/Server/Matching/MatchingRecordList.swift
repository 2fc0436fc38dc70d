import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// What became of the records of a job, row by row: read from what is true now.
struct MatchingRecordList {
    enum State: String, CaseIterable, Sendable {
        /// It can't be read, or not be compared.
        case refused
        /// The job is not at its end.
        case waiting
        /// It is a profile's, whoever made it so.
        case linked
        /// Somebody is asked whose it is.
        case proposed
        case unmatched
        /// Of somebody who was erased.
        case erased
    }

    let records: MatchingRecordStore

    /// The rows after one, and where the next page begins.
    func page(
        of job: MatchingJobID, _ state: State?, after row: Int, limit: Int, in session: some PostgresSession
    ) async throws -> [(row: Int, json: JSON)] {
        let chosen: SQL = if let state { "state = \(state.rawValue)" } else { "true" }
        let rows = try await session.query(
            """
            SELECT row_number, shard, type, hash, name, reason, path, profile_id, state FROM (
                SELECT r.*, q.canonical_id AS profile_id,
                    CASE WHEN r.reason IS NOT NULL THEN 'refused'
                         WHEN r.hash IS NULL THEN 'erased'
                         WHEN q.canonical_id IS NOT NULL THEN 'linked'
                         WHEN \(MatchingRecordStore.isAskedAbout) THEN 'proposed'
                         WHEN j.state IN ('queued', 'running') THEN 'waiting'
                         ELSE 'unmatched' END AS state
                FROM identity.matching_record r
                JOIN identity.matching_job j ON j.job_id = r.job_id
                LEFT JOIN profiles.identifier i
                    ON i.shard = r.shard AND i.type = r.type AND i.value_hash = r.hash
                LEFT JOIN profiles.profile q ON q.profile_id = i.profile_id
                WHERE r.job_id = \(job) AND r.row_number > \(row)) AS told
            WHERE \(chosen) ORDER BY row_number LIMIT \(limit)
            """)
        var items: [(row: Int, json: JSON)] = []
        for row in rows { items.append((try row.get("row_number"), try await json(row))) }
        return items
    }

    private func json(_ row: PostgresRow) async throws -> JSON {
        var members: [String: JSON] = [
            "row": .integer(try row.get("row_number")), "state": .string(try row.get("state")), "id": .null,
        ]
        if let hash = try row.get("hash", as: Data?.self) {
            let place = IdentifierPlace(
                shard: try row.get("shard"), kind: try MatchingEnd.kind(try row.get("type")), hash: hash)
            let identifier = try await records.identifier(try row.get("name"), at: place)
            members["id"] = identifier.map { .string($0.value) } ?? .null
        }
        members["reason"] = try row.get("reason", as: String?.self).map { .string($0) }
        if let path = try row.get("path", as: String?.self), !path.isEmpty { members["path"] = .string(path) }
        if let id = try row.get("profile_id", as: ProfileID?.self),
            try row.get("state", as: String.self) == "linked"
        {
            members["profileId"] = .string(id.description)
        }
        return .object(members)
    }
}
