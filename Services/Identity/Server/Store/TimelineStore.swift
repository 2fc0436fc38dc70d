import Models
import Postgres
import Sealing
import Streams

/// The timeline, which is the stream `profile-events` with further columns.
struct TimelineStore {
    let vault: Vault

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

    /// Whose keys it takes to append the facts.
    static func owners(of facts: some Sequence<ProfileFact>) -> Set<ProfileID> {
        var owners: Set<ProfileID> = []
        for fact in facts {
            let columns = TimelineColumns(fact)
            if columns.isPersonal { owners.insert(columns.profileID) }
        }
        return owners
    }

    /// Appends the facts in their order, each on the shard of its profile.
    func append(
        _ facts: [NewFact], sealing keyring: ProfileKeyring, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !facts.isEmpty else { return }
        let columns = facts.map { TimelineColumns($0.fact) }
        let shards = facts.map { Shard($0.fact.profileID) }
        let counts = Dictionary(shards.map { ($0, 1) }, uniquingKeysWith: +)
        var next = try await StreamWriter(.profileEvents).reserve(counts, in: transaction)
        var rows = CopyRows()
        for ((shard, new), columns) in zip(zip(shards, facts), columns) {
            guard let offset = next[shard] else {
                throw StreamError.headMissing(stream: StreamDefinition.profileEvents.name)
            }
            next[shard] = offset + 1
            let text = new.fact.withoutNote.json.compact
            let body =
                columns.isPersonal
                ? try keyring.seal(
                    text, of: columns.profileID,
                    at: StreamBodies.place(in: .profileEvents, shard: shard, offset: offset))
                : text
            rows.append(
                shard, offset, new.fact.profileID, now, new.traceparent, body,
                columns.profileID, new.fact.at, columns.type, columns.name, columns.messageID,
                columns.sourceID)
        }
        try await transaction.copyIn(
            table: StreamDefinition.profileEvents.table,
            columns: [
                "shard", "offset", "key", "recorded_at", "traceparent", "body", "profile_id", "occurred_at",
                "type", "name", "message_id", "source_id",
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
        let direction = place?.direction ?? .earlier
        var (shown, last, examined, isMore) = ([Entry](), place, 0, true)
        // Away from the place, some at a time: what the filter alone can tell is not counted beforehand.
        reading: while isMore {
            let chunk = try await entries(
                of: memberIDs, matching: filter, at: last, limit: limit + 1, in: session)
            isMore = chunk.count > limit
            for entry in direction == .later ? chunk.reversed() : chunk {
                if shown.count == limit {
                    isMore = true
                    break reading
                }
                last = TimelinePlace(direction: direction, position: entry.position)
                if filter.admits(entry) { shown.append(entry) }
            }
            examined += chunk.count
            if shown.count == limit || examined > Self.mostExamined { break }
        }
        // Who comes from somewhere has left it behind.
        let ahead = isMore ? last : nil
        let behind = place == nil ? nil : shown.first?.position
        switch direction {
        case .earlier:
            return TimelinePage(
                entries: shown, next: ahead,
                previous: behind.map { TimelinePlace(direction: .later, position: $0) })
        case .later:
            return TimelinePage(
                entries: shown.reversed(),
                next: behind.map { TimelinePlace(direction: .earlier, position: $0) }, previous: ahead)
        }
    }

    /// Entries that one page looks at.
    private static let mostExamined = 5_000

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
            SELECT shard, "offset", key, recorded_at, occurred_at, profile_id, body
            FROM profiles.timeline
            WHERE profile_id = ANY(\(memberIDs)::uuid[]) AND type <> 'mergedInto'
                AND NOT (type = 'withheld' AND message_id IS NULL) \(bound)\(filter.condition)
            ORDER BY occurred_at \(way), shard \(way), "offset" \(way)
            LIMIT \(limit)
            """)
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: session)
        let entries = try zip(rows, bodies).map { row, body in
            Entry(
                shard: try row.get("shard"), offset: try row.get("offset"),
                recordedAt: try row.get("recorded_at"), occurredAt: try row.get("occurred_at"),
                body: try JSONParser.parse(Array(body.utf8)[...]))
        }
        return isLater ? entries.reversed() : entries
    }

    /// Puts `erased` facts in the place of all events of the profiles: offsets have no gaps, and who reads the
    /// stream from the start learns of the erasure instead of the events. Each names the profile under which its event
    /// came: the key may be somebody who was merged with it for a time and is not erased. Returns how many there were.
    func eraseEvents(
        of memberIDs: [ProfileID], at instant: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            UPDATE profiles.timeline
            SET body = json_build_object('kind', 'erased', 'profileId', profile_id, 'at', \(instant.rfc3339)::text)::text,
                type = 'erased', name = NULL, message_id = NULL, source_id = NULL, traceparent = NULL, occurred_at = \(instant)
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
    var sourceID: SourceID?
    /// Whether it says anything of the person beside which profiles there are; only that is sealed, and an erasure
    /// leaves the rest.
    var isPersonal = true

    init(_ fact: ProfileFact) {
        switch fact {
        case .event(_, let arrivedUnder, let event):
            profileID = arrivedUnder
            type = event.kind.rawValue
            name = event.name
            messageID = event.messageID
            sourceID = event.sourceID
        case .withheld(_, let arrivedUnder, let id, _, _):
            profileID = arrivedUnder
            type = fact.kind.rawValue
            messageID = id
        case .merge, .mergedInto, .unmerge, .unmergedFrom, .erased:
            profileID = fact.profileID
            type = fact.kind.rawValue
            isPersonal = false
        }
    }
}
