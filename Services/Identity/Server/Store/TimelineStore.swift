import Models
import Postgres
import Streams

/// The timeline, which is the stream `profile-events` with further columns.
struct TimelineStore {
    /// A fact and the trace of the request that it comes from.
    struct NewFact {
        var fact: ProfileFact
        var traceparent: String?
    }

    /// One entry as it is read back.
    struct Entry {
        var shard: Shard
        var offset: Int64
        var recordedAt: Instant
        var occurredAt: Instant
        var body: JSON
    }

    /// A place in a person's timeline, which is read from the latest entry back.
    struct Position: Hashable {
        var occurredAt: Instant
        var shard: Shard
        var offset: Int64
    }

    /// Appends the facts in their order, each on the shard of its profile.
    func append(
        _ facts: [NewFact], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !facts.isEmpty else { return }
        let shards = facts.map { Shard($0.fact.profileID) }
        let counts = Dictionary(shards.map { ($0, 1) }, uniquingKeysWith: +)
        var next = try await StreamWriter(.profileEvents).reserve(counts, in: transaction)
        var rows = CopyRows()
        for (shard, new) in zip(shards, facts) {
            guard let offset = next[shard] else {
                throw StreamError.headMissing(stream: StreamDefinition.profileEvents.name)
            }
            next[shard] = offset + 1
            let columns = TimelineColumns(new.fact)
            rows.append(
                shard, offset, new.fact.profileID, now, new.traceparent, new.fact.json.compact,
                columns.profileID, new.fact.at, columns.type, columns.name, columns.messageID)
        }
        try await transaction.copyIn(
            table: StreamDefinition.profileEvents.table,
            columns: [
                "shard", "offset", "key", "recorded_at", "traceparent", "body", "profile_id", "occurred_at",
                "type", "name", "message_id",
            ], rows: rows)
    }

    /// Up to `limit` entries of a person before a position, the latest first. That a profile was merged into
    /// another is left out, because the merge stands on the survivor's side as well.
    func page(
        of memberIDs: [ProfileID], before position: Position?, limit: Int, in session: some PostgresSession
    ) async throws -> [Entry] {
        try await entries(
            of: memberIDs, matching: TimelineFilter(),
            at: position.map { TimelinePlace(direction: .earlier, position: $0) }, limit: limit, in: session)
    }

    /// A page of those that match, and what is beyond its ends.
    func page(
        of memberIDs: [ProfileID], matching filter: TimelineFilter, at place: TimelinePlace?, limit: Int,
        in session: some PostgresSession
    ) async throws -> TimelinePage {
        let found = try await entries(
            of: memberIDs, matching: filter, at: place, limit: limit + 1, in: session)
        let isMore = found.count > limit
        // Who comes from somewhere has left it behind.
        if let place, place.direction == .later {
            return TimelinePage(entries: found.suffix(limit), hasEarlier: true, hasLater: isMore)
        }
        return TimelinePage(
            entries: Array(found.prefix(limit)), hasEarlier: isMore, hasLater: place != nil)
    }

    /// The nearest to the place that match, the latest first.
    private func entries(
        of memberIDs: [ProfileID], matching filter: TimelineFilter, at place: TimelinePlace?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [Entry] {
        let isLater = place?.direction == .later
        var bound: SQL = ""
        if let position = place?.position {
            bound = """
                AND (occurred_at, shard, "offset") \(unsafe: isLater ? ">" : "<")
                    (\(position.occurredAt)::timestamptz, \(position.shard)::smallint, \(position.offset)::bigint)
                """
        }
        let way: SQL = isLater ? "ASC" : "DESC"
        let rows = try await session.query(
            """
            SELECT shard, "offset", recorded_at, occurred_at, body
            FROM profiles.timeline
            WHERE profile_id = ANY(\(memberIDs)::uuid[]) AND type <> 'mergedInto' \(bound)\(filter.condition)
            ORDER BY occurred_at \(way), shard \(way), "offset" \(way)
            LIMIT \(limit)
            """)
        let entries = try rows.map { row in
            Entry(
                shard: try row.get("shard"), offset: try row.get("offset"),
                recordedAt: try row.get("recorded_at"), occurredAt: try row.get("occurred_at"),
                body: try row.get("body"))
        }
        return isLater ? entries.reversed() : entries
    }

    /// Puts `erased` facts in the place of all events of the profiles: offsets have no gaps, and who reads the
    /// stream from the start learns of the erasure instead of the events. Returns how many there were.
    func eraseEvents(
        of memberIDs: [ProfileID], at instant: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            UPDATE profiles.timeline
            SET body = json_build_object('kind', 'erased', 'profileId', key, 'at', \(instant.rfc3339)::text)::text,
                type = 'erased', name = NULL, message_id = NULL, traceparent = NULL, occurred_at = \(instant)
            WHERE profile_id = ANY(\(memberIDs)::uuid[]) AND type NOT IN ('merge', 'mergedInto', 'unmerge', 'unmergedFrom', 'erased')
            """)
    }
}

/// The columns of the timeline that other streams don't have.
private struct TimelineColumns {
    var profileID: ProfileID
    var type: String
    var name: String?
    var messageID: String?

    init(_ fact: ProfileFact) {
        switch fact {
        case .event(_, let arrivedUnder, let event):
            profileID = arrivedUnder
            type = event.kind.rawValue
            name = event.name
            messageID = event.messageID
        case .withheld(_, let arrivedUnder, let id, _, _):
            profileID = arrivedUnder
            type = fact.kind.rawValue
            messageID = id
        case .merge, .mergedInto, .unmerge, .unmergedFrom, .erased:
            profileID = fact.profileID
            type = fact.kind.rawValue
        }
    }
}
