import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams

/// Works out computed traits of one person from the timeline, newest events first, a page of them in memory.
struct ComputedTraitReading {
    let transaction: PostgresTransaction
    let vault: Vault

    /// Events that are held in memory at once.
    private static let page = 2_000

    init(_ transaction: PostgresTransaction, vault: Vault) {
        (self.transaction, self.vault) = (transaction, vault)
    }

    /// Some computed traits of a canonical profile, or all, as callers see them.
    func traits(_ ids: [String]? = nil, of profile: ProfileID, at now: Instant) async throws -> [JSON] {
        let definitions = try await ComputedTraitStore(transaction).definitions(ids)
        let values = try await values(definitions.map(\.trait), of: profile, at: now)
        return zip(definitions, values).map { definition, value in
            var members = value.json
            members["id"] = .string(definition.stored.id)
            members["name"] = .string(definition.stored.name)
            members["version"] = .integer(Int64(definition.stored.version))
            members["text"] = .string(definition.trait.text)
            return .object(members)
        }
    }

    /// The values in the order of the traits. Where all together would hold more than there is room for, the history is read
    /// again for some of them after the others.
    func values(
        _ traits: [ComputedTrait], of profile: ProfileID, at now: Instant,
        limit: Int = ComputedTraitLimits.events, room: Int = ComputedTraitLimits.held
    ) async throws -> [ComputedTraitValue] {
        if let values = try await together(traits, of: profile, at: now, limit: limit, room: room) {
            return values
        }
        let half = traits.count / 2
        return try await values(
            Array(traits[..<half]), of: profile, at: now, limit: limit, room: room)
            + values(Array(traits[half...]), of: profile, at: now, limit: limit, room: room)
    }

    /// The same, all in one reading; nil where several would hold too much together.
    private func together(
        _ traits: [ComputedTrait], of profile: ProfileID, at now: Instant, limit: Int, room: Int
    ) async throws -> [ComputedTraitValue]? {
        guard !traits.isEmpty else { return [] }
        var folds = traits.map { ComputedTraitFold($0, at: now) }
        // Where one of them is about the events of a name, an event of another is nothing to it.
        let wanted = Set(traits.flatMap(\.wanted))
        let beginning = traits.map { $0.beginning(at: now) }.min() ?? .distantPast
        try await transaction.execute(
            """
            DECLARE recent NO SCROLL CURSOR FOR
            \(Self.statement(of: profile, wanted, since: beginning, limit: limit + 1))
            """)
        var read = 0
        var cut: Instant?
        while cut == nil {
            let rows = try await transaction.query("FETCH \(unsafe: String(Self.page)) FROM recent")
            let some = rows.prefix(limit - read)
            for event in try await events(Array(some)) {
                for place in folds.indices { folds[place].take(event) }
            }
            if traits.count > 1, folds.reduce(0, { $0 + $1.held }) > room {
                try await transaction.execute("CLOSE recent")
                return nil
            }
            // What is left unread happened no later than what is the first of it.
            if some.count < rows.count { cut = try rows[some.count].get("occurred_at") }
            read += some.count
            guard rows.count == Self.page else { break }
        }
        try await transaction.execute("CLOSE recent")
        return folds.map { $0.value(cut: cut) }
    }

    /// The latest events of a person that are wanted, as `TimelineReading` has whose they are: those of the profile and of
    /// all that were merged into it, and none that was written when it was itself merged into another.
    private static func statement(
        of profile: ProfileID, _ wanted: Set<WantedEvents>, since beginning: Instant, limit: Int
    ) -> SQL {
        let kinds = wanted.filter { $0.name == nil }.map(\.kind.rawValue)
        let named = wanted.compactMap { wanted in
            wanted.name.map { (kind: wanted.kind.rawValue, name: $0) }
        }
        return """
            WITH RECURSIVE member (id) AS (
                SELECT \(profile)::uuid
                UNION
                SELECT e.merged_id
                FROM member m JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            ), above (id) AS (
                SELECT e.survivor_id FROM profiles.merge e
                WHERE e.merged_id = \(profile)::uuid AND e.undone_at IS NULL
                UNION
                SELECT e.survivor_id
                FROM above a JOIN profiles.merge e ON e.merged_id = a.id AND e.undone_at IS NULL
            )
            SELECT t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body, t.occurred_at
            FROM member m
            JOIN profiles.timeline t ON t.profile_id = m.id
            WHERE t.type NOT IN ('merge', 'mergedInto', 'unmerge', 'unmergedFrom', 'withheld', 'erased')
                AND t.occurred_at >= \(beginning)
                AND NOT EXISTS (SELECT FROM above a WHERE a.id::text = t.key)
                AND (t.type = ANY(\(kinds)::text[])
                     OR (t.type, t.name) IN (SELECT * FROM unnest(\(named.map(\.kind))::text[],
                                                                  \(named.map(\.name))::text[])))
            ORDER BY t.occurred_at DESC, t.shard, t."offset" LIMIT \(Int64(limit))
            """
    }

    private func events(_ rows: [PostgresRow]) async throws -> [TrackingEvent] {
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction)
        return try zip(rows, bodies).compactMap { row, text in
            // What does not read as a fact went to quarantine when it came, and is left out here as well.
            guard let body = try? JSONParser.parse(Array(text.utf8)[...]),
                let fact = try? ProfileFact(json: body), case .event(_, _, var event) = fact
            else { return nil }
            event.position = TimelinePosition(shard: try row.get("shard"), offset: try row.get("offset"))
            return event
        }
    }
}
