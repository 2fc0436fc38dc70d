import Crypto
import Foundation
import IngestionDomain
import Models
import Postgres
import ProfileStore
import Sealing

enum QuarantineTag {}
typealias QuarantineID = TypedID<QuarantineTag>

/// An item that is to be kept in quarantine.
struct QuarantinedItem: Sendable {
    var refusal: Refusal
    var hints: ItemHints
    /// The bytes as they came.
    var item: [UInt8]
    var envelope: EventParser.Envelope
    /// What makes it one and the same, within its source.
    let digest: Data

    /// An item that could not be read: the same bytes are the same item.
    init(refusal: Refusal, hints: ItemHints, item: [UInt8], envelope: EventParser.Envelope) {
        self.init(
            refusal: refusal, hints: hints, item: item, envelope: envelope,
            identity: Array((envelope.kind?.rawValue ?? "").utf8) + [0] + item)
    }

    /// An event that its source's plan does not allow, as it may be kept: the same message is the same item.
    init(refusal: Refusal, event: TrackingEvent, envelope: EventParser.Envelope) {
        self.init(
            refusal: refusal,
            hints: ItemHints(
                messageID: event.messageID,
                subjects: [event.anonymousID, event.userID, event.previousID].compactMap { $0 }
                    + Identifier.external(in: event.context).map(\.name),
                event: event.name),
            item: event.asItem, envelope: envelope, identity: Array("message ".utf8) + event.messageID.utf8)
    }

    private init(
        refusal: Refusal, hints: ItemHints, item: [UInt8], envelope: EventParser.Envelope, identity: [UInt8]
    ) {
        (self.refusal, self.hints, self.item, self.envelope) = (refusal, hints, item, envelope)
        digest = Data(SHA256.hash(data: identity))
        let known = Set(hints.subjects)
        self.hints.subjects += Self.names(in: item).filter { !known.contains($0) }
    }

    /// Whom the bytes name beside those whom a call names: an erasure must find them all.
    private static func names(in item: [UInt8]) -> [String] {
        guard let json = try? JSONParser.parse(StorableText.mend(item)[...]) else { return [] }
        return RecordSubjects.found(in: json)
    }
}

/// An item in quarantine.
struct StoredQuarantinedItem: Sendable {
    let id: QuarantineID
    let sourceID: SourceID
    let receivedAt: Instant
    let refusal: Refusal
    let hints: ItemHints
    /// Nil once the person is erased.
    let item: [UInt8]?
    let envelope: JSON
    let traceparent: String?
    /// What became of it when it was taken in again.
    let outcome: String?
    let settledAt: Instant?
}

/// Which items of the quarantine are meant.
struct QuarantineFilter: Sendable {
    var ids: [QuarantineID]?
    var source: SourceID?
    var reason: Refusal.Reason?
    var messageID: String?
    var event: String?
    /// Bytes that the item holds somewhere.
    var text: String?
    var from: Instant = .distantPast
    var to: Instant = .distantFuture
    var isSettled = false
}

/// The SQL of the quarantine.
enum QuarantineStore {
    /// Keeps items, and returns the digests of those that were not there yet, by source.
    static func keep(
        _ items: [QuarantinedItem], traceparents: [String?], profiles: ProfileStore,
        in transaction: PostgresTransaction
    ) async throws -> Set<DigestKey> {
        guard let newest = items.map(\.envelope.receivedAt).max() else { return [] }
        let key = try await profiles.vault.days.key(at: newest)
        var first: [DigestKey: Int] = [:]
        for (index, item) in items.enumerated() where first[DigestKey(item)] == nil {
            first[DigestKey(item)] = index
        }
        // In one order for all writers, so that two that bring the same bytes wait and don't deadlock.
        let ordered = first.sorted { $0.key < $1.key }
        let kept = ordered.map { items[$0.value] }
        // Lists go by id, and so by the order in which the items came.
        let made = kept.map { UUIDv7.make(at: $0.envelope.receivedAt) }.sorted {
            $0.uuidString < $1.uuidString
        }
        let places = ordered.indices.sorted { ordered[$0].value < ordered[$1].value }
        let ids = Dictionary(uniqueKeysWithValues: zip(places, made))
        let known = ordered.indices.map { QuarantineID(ids[$0] ?? made[$0]) }
        let envelopes = try zip(known, kept).map { id, item in
            try key.seal(item.envelope.json.compact, at: QuarantinePlace.envelope(of: id))
        }
        let bytes = try zip(known, kept).map { id, item in
            Data(try key.seal(item.item, at: QuarantinePlace.item(of: id)))
        }
        // It may repeat what was wrong.
        let details = try zip(known, kept).map { id, item in
            try key.seal(item.refusal.detail, at: QuarantinePlace.detail(of: id))
        }
        let rows = try await transaction.query(
            """
            INSERT INTO quarantine (shard, quarantine_id, source_id, received_at, digest, reason, detail, message_id,
                event, subjects, envelope, item, traceparent)
            SELECT shard, id, source_id, received_at, digest, reason, detail, message_id, event,
                ARRAY(SELECT jsonb_array_elements_text(subjects::jsonb)), envelope, item, traceparent
            FROM unnest(\(ordered.map(\.key.shard))::smallint[],
                \(known)::uuid[],
                \(kept.map(\.envelope.sourceID))::uuid[], \(kept.map(\.envelope.receivedAt))::timestamptz[],
                \(ordered.map(\.key.digest))::bytea[], \(kept.map(\.refusal.reason.rawValue))::text[],
                \(details)::text[], \(kept.map(\.hints.messageID))::text[],
                \(kept.map(\.hints.event))::text[],
                \(kept.map { marks(of: $0.hints.subjects, profiles).compact })::text[],
                \(envelopes)::text[], \(bytes)::bytea[],
                \(ordered.map { traceparents[$0.value] })::text[])
                AS q (shard, id, source_id, received_at, digest, reason, detail, message_id, event, subjects,
                    envelope, item, traceparent)
            ON CONFLICT (shard, source_id, digest) DO NOTHING
            RETURNING source_id, digest
            """)
        return Set(
            try rows.map { DigestKey(sourceID: try $0.get("source_id"), digest: try $0.get("digest")) })
    }

    /// What stands for the names in the column that erasures look into.
    private static func marks(of subjects: [String], _ profiles: ProfileStore) -> JSON {
        .array(subjects.map { .string(profiles.key.mark(of: $0)) })
    }

    private static let columns = SQL(
        unsafe: """
            quarantine_id, source_id, received_at, reason, detail, message_id, event, envelope, item, traceparent,
            outcome, settled_at
            """)

    /// A page of items, oldest first, after a place in the list.
    static func list(
        _ filter: QuarantineFilter, after: (Instant, QuarantineID)?, limit: Int, profiles: ProfileStore,
        in session: some PostgresSession
    ) async throws -> [StoredQuarantinedItem] {
        try await search(filter, after: after, limit: limit, isTaking: false, profiles: profiles, in: session)
    }

    static func get(_ id: QuarantineID, profiles: ProfileStore, in session: some PostgresSession) async throws
        -> StoredQuarantinedItem?
    {
        let row = try await session.query(
            "SELECT \(columns) FROM quarantine WHERE quarantine_id = \(id)"
        ).first
        guard let row else { return nil }
        return try await StoredQuarantinedItem(row, profiles.vault.days)
    }

    /// Locks items that are not settled, oldest first; those that another replay is at are left out.
    static func take(
        _ filter: QuarantineFilter, limit: Int, profiles: ProfileStore, in transaction: PostgresTransaction
    ) async throws -> [StoredQuarantinedItem] {
        try await search(
            filter, after: nil, limit: limit, isTaking: true, profiles: profiles, in: transaction)
    }

    /// What lies in items is sealed, so the one filter that looks into them reads page after page.
    private static func search(
        _ filter: QuarantineFilter, after: (Instant, QuarantineID)?, limit: Int, isTaking: Bool,
        profiles: ProfileStore, in session: some PostgresSession
    ) async throws -> [StoredQuarantinedItem] {
        let open: SQL = isTaking ? "AND settled_at IS NULL AND item IS NOT NULL" : ""
        let lock: SQL = isTaking ? "FOR UPDATE SKIP LOCKED" : ""
        var (found, position): ([StoredQuarantinedItem], (Instant, QuarantineID)?) = ([], after)
        let page = filter.text == nil ? limit : max(limit, searched)
        while true {
            let rows = try await session.query(
                """
                SELECT \(columns) FROM quarantine
                WHERE \(condition(filter)) \(open)
                  AND (\(position == nil) OR (received_at, quarantine_id) >
                      (\(position?.0 ?? .distantPast)::timestamptz, \(position?.1 ?? first)::uuid))
                ORDER BY received_at, quarantine_id LIMIT \(Int64(page)) \(lock)
                """)
            for row in rows where found.count < limit {
                let item = try await StoredQuarantinedItem(row, profiles.vault.days)
                position = (item.receivedAt, item.id)
                if item.holds(filter.text) { found.append(item) }
            }
            if found.count == limit || rows.count < page { return found }
        }
    }

    private static let first = QuarantineID(UUIDv7.derived(at: .distantPast, from: ""))
    /// Items that are looked into at a time.
    private static let searched = 500

    private static func condition(_ filter: QuarantineFilter) -> SQL {
        """
        received_at >= \(filter.from)::timestamptz AND received_at < \(filter.to)::timestamptz
        AND (settled_at IS NOT NULL) = \(filter.isSettled)
        AND (\(filter.ids == nil) OR quarantine_id = ANY(\(filter.ids ?? [])::uuid[]))
        AND (\(filter.source)::uuid IS NULL OR source_id = \(filter.source)::uuid)
        AND (\(filter.reason?.rawValue)::text IS NULL OR reason = \(filter.reason?.rawValue)::text)
        AND (\(filter.messageID)::text IS NULL OR message_id = \(filter.messageID)::text)
        AND (\(filter.event)::text IS NULL OR event = \(filter.event)::text)
        """
    }

    /// Records that items were taken in.
    static func settle(
        _ outcomes: [(id: QuarantineID, outcome: String)], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !outcomes.isEmpty else { return }
        try await transaction.execute(
            """
            UPDATE quarantine q SET outcome = o.outcome, settled_at = \(now)
            FROM unnest(\(outcomes.map(\.id))::uuid[], \(outcomes.map(\.outcome))::text[]) AS o (id, outcome)
            WHERE q.quarantine_id = o.id
            """)
    }

    /// Records why items still can't be accepted.
    static func explain(
        _ refusals: [(id: QuarantineID, refusal: Refusal)], at now: Instant, vault: Vault,
        in transaction: PostgresTransaction
    ) async throws {
        guard !refusals.isEmpty else { return }
        let key = try await vault.days.key(at: now)
        let details = try refusals.map {
            try key.seal($0.refusal.detail, at: QuarantinePlace.detail(of: $0.id))
        }
        try await transaction.execute(
            """
            UPDATE quarantine q SET reason = o.reason, detail = o.detail
            FROM unnest(\(refusals.map(\.id))::uuid[], \(refusals.map(\.refusal.reason.rawValue))::text[],
                \(details)::text[]) AS o (id, reason, detail)
            WHERE q.quarantine_id = o.id
            """)
    }

    /// What names somebody by one of the names, oldest first.
    static func naming(
        _ names: [String], after: StoredQuarantinedItem?, limit: Int, profiles: ProfileStore,
        in session: some PostgresSession
    ) async throws -> [StoredQuarantinedItem] {
        let subjects = names + names.flatMap { RecordSubjects.aliases(of: $0) }
        let bound: SQL =
            if let after {
                "AND (received_at, quarantine_id) > (\(after.receivedAt)::timestamptz, \(after.id)::uuid)"
            } else {
                ""
            }
        let rows = try await session.query(
            """
            SELECT \(columns) FROM quarantine
            WHERE subjects && \(subjects.map { profiles.key.mark(of: $0) } + subjects)::text[] \(bound)
            ORDER BY received_at, quarantine_id LIMIT \(Int64(limit))
            """)
        var found: [StoredQuarantinedItem] = []
        for row in rows { found.append(try await StoredQuarantinedItem(row, profiles.vault.days)) }
        return found
    }

    /// Erases what names somebody; the row stays, so that the account of what was received stays true.
    static func erase(
        _ names: [String], profiles: ProfileStore, in transaction: PostgresTransaction
    ) async throws -> Int {
        let subjects = names + names.flatMap { RecordSubjects.aliases(of: $0) }
        return try await transaction.execute(
            """
            UPDATE quarantine SET item = NULL, message_id = NULL, event = NULL, subjects = '{}', envelope = '{}',
                traceparent = NULL, detail = 'erased', digest = decode(md5(quarantine_id::text), 'hex')
            WHERE subjects && \(subjects.map { profiles.key.mark(of: $0) } + subjects)::text[]
            """)
    }

    /// Leaves of items that are kept no longer what an erasure leaves: the account counts them. Returns how many.
    static func empty(
        before boundary: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            UPDATE quarantine SET item = NULL, message_id = NULL, event = NULL, subjects = '{}', envelope = '{}',
                traceparent = NULL, detail = 'kept no longer', digest = decode(md5(quarantine_id::text), 'hex')
            WHERE (shard, quarantine_id) IN (
                SELECT shard, quarantine_id FROM quarantine WHERE received_at < \(boundary) AND item IS NOT NULL
                ORDER BY received_at LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
            """)
    }
}

/// The digest of an item within its source.
struct DigestKey: Hashable, Comparable, Sendable {
    let sourceID: SourceID
    let digest: Data

    init(sourceID: SourceID, digest: Data) {
        self.sourceID = sourceID
        self.digest = digest
    }

    init(_ item: QuarantinedItem) {
        self.init(sourceID: item.envelope.sourceID, digest: item.digest)
    }

    var shard: Shard { Shard(hashing: digest.base64EncodedString()) }

    static func < (left: DigestKey, right: DigestKey) -> Bool {
        if left.shard != right.shard { return left.shard < right.shard }
        if left.sourceID != right.sourceID { return left.sourceID < right.sourceID }
        return left.digest.lexicographicallyPrecedes(right.digest)
    }
}

extension StoredQuarantinedItem {
    fileprivate init(_ row: PostgresRow, _ days: DayKeys) async throws {
        id = try row.get("quarantine_id")
        sourceID = try row.get("source_id")
        receivedAt = try row.get("received_at")
        let detail = try await days.open(
            try row.get("detail", as: String.self), at: QuarantinePlace.detail(of: id))
        refusal = Refusal(
            Refusal.Reason(rawValue: try row.get("reason")) ?? .invalid, detail ?? "kept no longer")
        hints = ItemHints(
            messageID: try row.get("message_id", as: String?.self),
            event: try row.get("event", as: String?.self))
        let item: Data? = try row.get("item")
        if let item {
            // Nil as well where the key of the day was destroyed.
            self.item = try await days.openBytes(Array(item), at: QuarantinePlace.item(of: id))
        } else {
            self.item = nil
        }
        let envelope = try await days.openJSON(
            try row.get("envelope", as: String.self), at: QuarantinePlace.envelope(of: id))
        self.envelope = envelope.isNull ? [:] : envelope
        traceparent = try row.get("traceparent", as: String?.self)
        outcome = try row.get("outcome", as: String?.self)
        settledAt = try row.get("settled_at", as: Instant?.self)
    }
}

/// Where what is kept of an item is sealed.
private enum QuarantinePlace {
    static func item(of id: QuarantineID) -> String { "ingestion.quarantine.item \(id)" }
    static func detail(of id: QuarantineID) -> String { "ingestion.quarantine.detail \(id)" }
    static func envelope(of id: QuarantineID) -> String { "ingestion.quarantine.envelope \(id)" }
}

extension StoredQuarantinedItem {
    /// As it is shown to whom it is about: the item as JSON where it is that, else its bytes in base64.
    var found: JSON {
        let json = item.flatMap { try? JSONParser.parse(StorableText.mend($0)[...]) }
        return [
            "quarantineId": .string(id.description), "receivedAt": .string(receivedAt.rfc3339),
            "reason": .string(refusal.reason.rawValue), "detail": .string(refusal.detail),
            "envelope": envelope, "item": json ?? .null,
            "bytes": json == nil ? item.map { .string(Data($0).base64EncodedString()) } ?? .null : .null,
        ]
    }

    /// Whether a text stands somewhere in the item; everything holds no text.
    fileprivate func holds(_ text: String?) -> Bool {
        guard let text, !text.isEmpty else { return true }
        return item.map { Data($0).range(of: Data(text.utf8)) != nil } ?? false
    }
}

extension EventParser.Envelope {
    /// What has to be kept to parse the item again.
    var json: JSON {
        var members: [String: JSON] = ["context": .object(context), "mayNameProfile": .bool(mayNameProfile)]
        if globalPrivacyControl { members["globalPrivacyControl"] = true }
        members["kind"] = kind.map { .string($0.rawValue) }
        members["sentAt"] = sentAt.map { .string($0.rfc3339) }
        return .object(members)
    }

    init(_ stored: StoredQuarantinedItem) throws(DecodingProblem) {
        let fields = try JSONFields(stored.envelope)
        self.init(
            sourceID: stored.sourceID, receivedAt: stored.receivedAt,
            sentAt: try fields.optionalInstant("sentAt"), context: try fields.objectIfPresent("context"),
            kind: fields["kind"] == nil ? nil : try fields.choice("kind"),
            mayNameProfile: fields["mayNameProfile"]?.bool ?? false,
            globalPrivacyControl: fields["globalPrivacyControl"]?.bool ?? false)
    }
}
