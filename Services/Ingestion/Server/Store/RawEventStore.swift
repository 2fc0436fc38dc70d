import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// The raw event log as far as it is about one person.
struct RawEventStore: Sendable {
    let profiles: ProfileStore

    /// What identity tells of somebody whom it has erased.
    struct Told: Sendable {
        /// Every name that something may be kept under which is about them.
        var subjects: [String]
        /// Their profiles, which nobody new has.
        var profileIDs: [ProfileID]
        /// Up to where the events under the names are theirs; nil if all are.
        var upTo: [Shard: Int64]?
        /// Those of the names that others were seen with as well: of what stands under them, only `messages` are theirs.
        var shared: Set<String> = []
        /// Where else something of theirs stands, under names of others or of nobody.
        var places: Set<String> = []
        /// What tells the events apart that stand there, and under shared names.
        var messages: Set<String> = []
        /// Events about them that identity could not resolve, by where they stand.
        var unresolved: [Shard: [Int64]] = [:]

        /// `{"17":[12,13]}`
        static func places(_ json: JSON) -> [Shard: [Int64]]? {
            guard let members = json.object else { return nil }
            var places: [Shard: [Int64]] = [:]
            for (name, value) in members {
                guard let shard = Int16(name).flatMap({ Shard(number: $0) }), let offsets = value.array,
                    offsets.allSatisfy({ $0.integer != nil })
                else { return nil }
                places[shard] = offsets.compactMap(\.integer)
            }
            return places
        }

        /// What is kept of it beside the names.
        var details: JSON {
            [
                "shared": .array(shared.sorted().map(JSON.string)),
                "places": .array(places.sorted().map(JSON.string)),
                "messages": .array(messages.sorted().map(JSON.string)),
                "unresolved": .object(
                    Dictionary(
                        uniqueKeysWithValues: unresolved.map {
                            ("\($0.key.number)", JSON.array($0.value.map(JSON.integer)))
                        })),
            ]
        }

        mutating func add(_ details: JSON) {
            func texts(_ name: String) -> [String] { details[name]?.array?.compactMap(\.string) ?? [] }
            shared.formUnion(texts("shared"))
            places.formUnion(texts("places"))
            messages.formUnion(texts("messages"))
            unresolved.merge(details["unresolved"].flatMap { Self.places($0) } ?? [:]) { $0 + $1 }
        }

        /// `{"17":1234}`
        static func positions(_ json: JSON) -> [Shard: Int64]? {
            guard let members = json.object else { return nil }
            var positions: [Shard: Int64] = [:]
            for (name, value) in members {
                guard let shard = Int16(name).flatMap({ Shard(number: $0) }), let offset = value.integer
                else {
                    return nil
                }
                positions[shard] = offset
            }
            return positions
        }

        var positions: JSON? {
            upTo.map { upTo in
                .object(
                    Dictionary(uniqueKeysWithValues: upTo.map { ("\($0.key.number)", .integer($0.value)) }))
            }
        }
    }

    /// The names that the profiles went by.
    func subjects(of profileIDs: [ProfileID], in transaction: PostgresTransaction) async throws -> [String] {
        try await profiles.names(of: profileIDs, in: transaction)
    }

    /// What identity has told about a request; nil while it has told nothing. With `again` what it told when it failed, and
    /// was done already, does not count: it is asked once more as well, and tells once more.
    func handedOver(
        _ id: PrivacyRequestID, again: Bool, in transaction: PostgresTransaction
    ) async throws -> Told? {
        let rows = try await transaction.query(
            "SELECT subjects, profile_ids, up_to, details FROM erasure_subject WHERE request_id = \(id)")
        guard let row = rows.first else { return nil }
        if again, try row.get("up_to", as: JSON?.self) == nil, try row.get("details", as: String?.self) == nil
        {
            return nil
        }
        var names: [String] = []
        for text in try row.get("subjects", as: [String].self) {
            guard let opened = try await profiles.vault.days.open(text, at: Self.place(of: id)) else {
                continue
            }
            names += try JSONParser.parse(Array(opened.utf8)[...]).array?.compactMap(\.string) ?? []
        }
        var told = Told(
            subjects: names, profileIDs: try row.get("profile_ids"),
            upTo: try row.get("up_to", as: JSON?.self).flatMap { Told.positions($0) })
        if let text = try row.get("details", as: String?.self),
            let opened = try await profiles.vault.days.open(text, at: Self.detailsPlace(of: id))
        {
            told.add(try JSONParser.parse(Array(opened.utf8)[...]))
        }
        return told
    }

    private static func place(of id: PrivacyRequestID) -> String {
        "ingestion.erasure_subject.subjects \(id)"
    }

    private static func detailsPlace(of id: PrivacyRequestID) -> String {
        "ingestion.erasure_subject.details \(id)"
    }

    /// Keeps what identity tells about a request.
    func handOver(
        _ id: PrivacyRequestID, _ told: Told, at now: Instant, in session: some PostgresSession
    ) async throws {
        let key = try await profiles.vault.days.key(at: now)
        let sealed = try key.seal(JSON.array(told.subjects.map(JSON.string)).compact, at: Self.place(of: id))
        let details = try key.seal(told.details.compact, at: Self.detailsPlace(of: id))
        try await session.execute(
            """
            INSERT INTO erasure_subject (request_id, subjects, profile_ids, up_to, details, received_at)
            VALUES (\(id), \([sealed])::text[], \(told.profileIDs)::uuid[], \(told.positions)::jsonb, \(details),
                \(now))
            ON CONFLICT (request_id) DO UPDATE SET subjects = excluded.subjects, profile_ids = excluded.profile_ids,
                up_to = excluded.up_to, details = excluded.details, received_at = excluded.received_at
            WHERE erasure_subject.up_to IS NULL
            """)
    }

    func forgetHandOver(_ id: PrivacyRequestID, in transaction: PostgresTransaction) async throws {
        // The row stays, so that a repetition finds that there is nothing left to do; the names go.
        try await transaction.execute(
            "UPDATE erasure_subject SET subjects = '{}', details = NULL WHERE request_id = \(id)")
    }

    private static let pageSize = 1_000

    /// The bodies of the events of the profiles that were sent under names of theirs, oldest first, some at a time.
    func eachPage(
        of profileIDs: [ProfileID], in transaction: PostgresTransaction, _ take: ([JSON]) async throws -> Void
    ) async throws {
        let subjects = try await subjects(of: profileIDs, in: transaction)
        let shared = Set(
            Keys(Array(try await profiles.sharedNames(of: profileIDs, in: transaction)), of: profiles).keys)
        // What others did on a device of theirs is none of their business.
        let own =
            shared.isEmpty ? [] : try await profiles.messageNames(of: profileIDs, in: transaction)
        var after: (at: Instant, shard: Shard, offset: Int64)?
        while true {
            let bound: SQL =
                if let after {
                    """
                    AND (recorded_at, shard, "offset")
                        > (\(after.at)::timestamptz, \(after.shard)::smallint, \(after.offset)::bigint)
                    """
                } else {
                    ""
                }
            let rows = try await transaction.query(
                """
                SELECT shard, "offset", key, recorded_at, body FROM stream_events
                WHERE \(named(subjects)) \(bound)
                ORDER BY recorded_at, shard, "offset" LIMIT \(Self.pageSize)
                """)
            var events: [JSON] = []
            for row in rows {
                let key: String = try row.get("key")
                guard let event = try await body(of: row, key) else { continue }
                if shared.contains(key), !own.contains(Self.messageName(of: event)) { continue }
                events.append(event)
            }
            try await take(events)
            guard rows.count == Self.pageSize, let last = rows.last else { return }
            after = (try last.get("recorded_at"), try last.get("shard"), try last.get("offset"))
        }
    }

    /// Nil where it lay under a key that was destroyed: it is held no more.
    private func body(of row: PostgresRow, _ key: String) async throws -> JSON? {
        let place = StreamBodies.place(
            in: .events, shard: try row.get("shard"), key: key, recordedAt: try row.get("recorded_at"))
        guard let body = try await profiles.vault.days.open(try row.get("body", as: String.self), at: place)
        else { return nil }
        return try JSONParser.parse(Array(body.utf8)[...])
    }

    /// What was sent of the profiles and could not be accepted, oldest first, some at a time. What others share a name with
    /// them in is left out: nobody knows whose it is.
    func eachQuarantined(
        of profileIDs: [ProfileID], in transaction: PostgresTransaction, _ take: ([JSON]) async throws -> Void
    ) async throws {
        let shared = try await profiles.sharedNames(of: profileIDs, in: transaction)
        let names = try await subjects(of: profileIDs, in: transaction).filter { !shared.contains($0) }
        var after: StoredQuarantinedItem?
        while true {
            let page = try await QuarantineStore.naming(
                names, after: after, limit: Self.pageSize, profiles: profiles, in: transaction)
            try await take(page.map { $0.found })
            guard page.count == Self.pageSize, let last = page.last else { return }
            after = last
        }
    }

    private static func messageName(of event: JSON) -> String {
        guard let source = event["sourceId"]?.string.flatMap({ SourceID($0) }),
            let message = event["messageId"]?.string
        else { return "" }
        return TrackingEvent.messageName(source, message)
    }

    /// Replaces the events that were sent under these names by a tombstone, as far as they are the person's: offsets stay
    /// gapless, and the message keys stay, so that nothing erased can be sent in again. Returns how many there were.
    func erase(_ told: Told, at now: Instant, in transaction: PostgresTransaction) async throws -> Int {
        _ = try await QuarantineStore.erase(told.subjects, profiles: profiles, in: transaction)
        let profileIDs = Set(told.profileIDs.map(\.description))
        let names = Set(told.subjects).subtracting(profileIDs).subtracting(told.shared).sorted()
        let rows = Keys(names, of: profiles)
        let bounds = rows.shards.map { shard in told.upTo.map { $0[shard] ?? 0 } ?? Int64.max }
        let ids = Keys(profileIDs.sorted(), of: profiles)
        let tombstone: JSON = ["kind": "erased", "at": .string(now.rfc3339)]
        let single = try await places(of: told, in: transaction)
        let erased = try await transaction.execute(
            """
            UPDATE stream_events e SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            FROM unnest(\(binary: rows.shards + ids.shards), \(binary: rows.keys + ids.keys),
                        \(binary: bounds + ids.keys.map { _ in Int64.max })) AS w (shard, key, up_to)
            WHERE e.shard = w.shard AND e.key = w.key AND e."offset" <= w.up_to
            """)
        return try await erased + bury(single, at: now, in: transaction)
    }

    /// Puts tombstones in the place of single events; returns how many there were.
    func bury(
        _ places: [(shard: Shard, offset: Int64)], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        let tombstone: JSON = ["kind": "erased", "at": .string(now.rfc3339)]
        return try await transaction.execute(
            """
            UPDATE stream_events e SET body = \(tombstone.compact), key = 'erased', traceparent = NULL
            FROM unnest(\(binary: places.map(\.shard)), \(binary: places.map(\.offset))) AS w (shard, place)
            WHERE e.shard = w.shard AND e."offset" = w.place AND e.key <> 'erased'
            """)
    }

    /// Where events stand that are the person's although the name is not theirs alone, and such as nobody could resolve.
    private func places(
        of told: Told, in transaction: PostgresTransaction
    ) async throws -> [(shard: Shard, offset: Int64)] {
        var places = told.unresolved.flatMap { shard, offsets in
            offsets.map { (shard: shard, offset: $0) }
        }
        let names = told.places.union(told.shared).sorted()
        guard !names.isEmpty, !told.messages.isEmpty else { return places }
        let rows = try await transaction.query(
            """
            SELECT shard, "offset", key, recorded_at, body FROM stream_events WHERE \(named(names))
            """)
        for row in rows {
            let shard: Shard = try row.get("shard")
            let place = StreamBodies.place(
                in: .events, shard: shard, key: try row.get("key"), recordedAt: try row.get("recorded_at"))
            guard
                let body = try await profiles.vault.days.open(try row.get("body", as: String.self), at: place)
            else { continue }
            let event = try JSONParser.parse(Array(body.utf8)[...])
            if told.messages.contains(Self.messageName(of: event)) {
                places.append((shard, try row.get("offset")))
            }
        }
        return places
    }

    private func named(_ subjects: [String]) -> SQL {
        let keys = Keys(subjects, of: profiles)
        return "(shard, key) IN (SELECT * FROM unnest(\(binary: keys.shards), \(binary: keys.keys)))"
    }

    /// Under what names stand: their marks; or the names themselves, from before there were marks.
    private struct Keys {
        let shards: [Shard]
        let keys: [String]

        init(_ names: [String], of profiles: ProfileStore) {
            let own = names.map { Shard(hashing: $0) }
            shards = own + own
            keys = names.map { profiles.key.mark(of: $0) } + names
        }
    }
}
